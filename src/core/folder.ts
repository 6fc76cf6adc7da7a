import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a folder that its owner alone may enter, with those above it. Folder by folder: `recursive` of
 * Node 24 never returns where the system has no room for one, as below /proc.
 *
 * @returns the uppermost folder that was made; undefined where it was there
 * @throws Error of the system's, or where a file has its name
 */
export function makeFolder(path: string): string | undefined {
  const missing: string[] = []
  for (let one = path; !existsSync(one) && one !== dirname(one); one = dirname(one)) {
    missing.unshift(one)
  }
  for (const one of missing) makeOne(one)
  if (!statSync(path).isDirectory()) throw new Error(`${path} is no folder`)
  return missing[0]
}

/** Another process may make it at the same time. */
function makeOne(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
