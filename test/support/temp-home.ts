import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder of its own for one test, removed at the end. */
export function tempHome(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'rescind-test-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
