import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'rescind-examples-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Example {
  readonly code: string
  /** The page and the line that it begins on: `docs/revoke.md:128`. */
  readonly place: string
}

/** The blocks of a page that say they are TypeScript. */
function examplesOf(page: string): readonly Example[] {
  const text = readFileSync(join(root, page), 'utf8')
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((block) => ({
    code: block[1] ?? '',
    place: `${page}:${text.slice(0, block.index).split('\n').length}`,
  }))
}

/** The subpaths of the package, each with the source that its types are made of. */
function sourcesOfExports(): Readonly<Record<string, readonly string[]>> {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, string | { default: string }>
  }
  const sources = Object.entries(exports).flatMap(([subpath, target]) =>
    typeof target === 'string'
      ? []
      : [
          [
            `rescind${subpath.slice(1)}`,
            [join(root, target.default.replace('./dist/', '').replace(/\.js$/, '.ts'))],
          ] as const,
        ],
  )
  return Object.fromEntries(sources)
}

/** Type-checks the examples, each in a file of its own; returns what tsc says, by page and line. */
function typeCheck(examples: readonly Example[]): string {
  for (const [nth, { code }] of examples.entries()) {
    // An example may import nothing; its names are still its own.
    writeFileSync(join(folder, `example-${nth}.ts`), `${code}export {}\n`)
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}\n')
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { paths: sourcesOfExports(), typeRoots: ['node_modules/@types'] },
    include: ['example-*.ts'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const ran = spawnSync(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], {
    cwd: folder,
    encoding: 'utf8',
  })
  const said = `${ran.stdout}${ran.stderr}`.replace(/example-(\d+)\.ts/g, (file, nth: string) => {
    return examples[Number(nth)]?.place ?? file
  })
  return ran.status === 0 ? said : said || `tsc ended with ${ran.status}`
}

test('the examples in the docs are TypeScript that this package takes', () => {
  const docs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
  const pages = ['README.md', ...docs.map((name) => `docs/${name}`)]
  const examples = pages.flatMap(examplesOf)
  expect(examples.map(({ place }) => place.split(':')[0])).toContain('docs/revoke.md')
  expect(typeCheck(examples)).toBe('')
})
