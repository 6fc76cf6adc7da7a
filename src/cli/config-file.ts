import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { Document, parseDocument } from 'yaml'
import { RescindError } from '../core/errors.ts'
import { makeFolder } from '../core/folder.ts'

/** Keys whose values are credentials, whatever the provider calls them. */
const SECRET_KEY = /(secret|password|passphrase|token|key|assertion)$/i

/** Says whether a login's key holds a secret. */
export function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key)
}

/** Adds a tenant to a configuration file; the rest of it, comments too, stays as it is. */
export function addTenant(
  path: string,
  name: string,
  tenant: Readonly<Record<string, unknown>>,
): void {
  const document = existsSync(path)
    ? parseDocument(readFileSync(path, 'utf8'))
    : new Document({ tenants: {} })
  if (document.contents === null) document.contents = document.createNode({ tenants: {} }) as never
  document.setIn(['tenants', name], document.createNode(tenant))
  write(path, String(document))
}

/** Removes a tenant from a configuration file. */
export function removeTenant(path: string, name: string): void {
  const document = parseDocument(readFileSync(path, 'utf8'))
  document.deleteIn(['tenants', name])
  write(path, String(document))
}

/** A file that is half written would lose every tenant: it is written beside, then put in place. */
function write(path: string, text: string): void {
  const draft = `${path}.${process.pid}`
  try {
    makeFolder(dirname(path))
    writeFileSync(draft, text, { mode: 0o600 })
    chmodSync(draft, 0o600)
    renameSync(draft, path)
  } catch (error) {
    throw new RescindError(
      'config_invalid',
      `${path} cannot be written. Check its folder and permissions.`,
      { cause: error },
    )
  }
}
