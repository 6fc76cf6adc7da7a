import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { OrgProcess } from '../../emulators/salesforce/spawn.ts'
import { makeFolder } from '../../src/core/folder.ts'

/** In every folder of a demo, with the process that uses it; what lacks it is never cleared. */
const MARK = 'demo.pid'
/** As many demos at once, kept running in other terminals. */
const FOLDERS_MAX = 9

/**
 * Makes the demo's folder, empty: the one that was named, else `.rescind-demo` here, or the next
 * one when a demo that still runs has it.
 *
 * @throws Error when the named folder holds anything that is not a demo's
 */
export function makeDemoFolder(cwd: string, named: string | undefined): string {
  const names = Array.from(
    { length: FOLDERS_MAX },
    (_, n) => `.rescind-demo${n ? `-${n + 1}` : ''}`,
  )
  const folder = named ?? names.find((name) => !isInUse(join(cwd, name)))
  if (folder === undefined) throw new Error('Nine demos are running: stop one with Ctrl-C.')
  const path = resolve(cwd, folder)
  if (existsSync(path) && readdirSync(path).length > 0) {
    if (!existsSync(join(path, MARK)) || isInUse(path)) {
      throw new Error(`${folder} is in use. Name a folder that is new, or an earlier demo's.`)
    }
    rmSync(path, { recursive: true })
  }
  makeFolder(path)
  writeFileSync(join(path, MARK), `${process.pid}\n`)
  return folder
}

function isInUse(path: string): boolean {
  try {
    process.kill(Number(readFileSync(join(path, MARK), 'utf8')), 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Writes what a first `rescind tenant add` writes: one tenant, its secret in a file of its own. */
export function writeConfig(path: string, { url, credentials }: OrgProcess): void {
  const { clientId, clientSecret } = credentials.integration
  writeFileSync(join(path, 'client-secret'), clientSecret, { mode: 0o600 })
  const yaml = `home: .
tenants:
  demo:
    provider: salesforce
    url: ${url}
    login:
      method: client_credentials
      clientId: ${clientId}
      clientSecret: \${file:client-secret}
`
  writeFileSync(join(path, 'rescind.yaml'), yaml, { mode: 0o600 })
}
