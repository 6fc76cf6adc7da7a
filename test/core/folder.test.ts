import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { makeFolder } from '../../src/core/folder.ts'

const base = mkdtempSync(join(tmpdir(), 'rescind-folder-'))
afterAll(() => rmSync(base, { recursive: true }))

describe('a folder is made with those above it, for its owner alone', () => {
  test('and the uppermost that was made is named', () => {
    const path = join(base, 'a', 'b')
    expect([makeFolder(path), makeFolder(path)]).toEqual([join(base, 'a'), undefined])
    expect(statSync(path).mode & 0o777).toBe(0o700)
  })

  test.each<[string, (path: string) => void]>([
    ['a file has its name', (path) => writeFileSync(path, '')],
    ['a link to nothing has its name', (path) => symlinkSync(join(base, 'nothing'), path)],
  ])('and none where %s', (name, put) => {
    const path = join(base, name)
    put(path)
    expect(() => makeFolder(path)).toThrow()
  })
})
