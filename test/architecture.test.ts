import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ERRORS } from '../src/core/errors.ts'
import { VERSION } from '../src/core/version.ts'
import { PROVIDERS } from '../src/providers/registry.ts'
import { CAUSES, EVENT_TYPES } from '../src/server/events.ts'

const root = resolve(import.meta.dirname, '..')

/** A file imports from its own folder or from a lower rank. */
const RANKS: Readonly<Record<string, number>> = {
  core: 0,
  protocol: 1,
  store: 1,
  providers: 2,
  sweep: 3,
  connections: 3,
  server: 3,
  conformance: 3,
  console: 4,
  cli: 5,
}

function filesUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
}

/** Imports and re-exports of a file, relative ones as paths from the root. */
function importsOf(file: string, text = readFileSync(join(root, file), 'utf8')): string[] {
  const specifiers = [
    ...text.matchAll(/(?:^|\n)\s*(?:import|export)[^'";]*?from\s+'([^']+)'/g),
    ...text.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g),
    ...text.matchAll(/(?:^|\n)import '([^']+)'/g),
  ].map((match) => match[1] as string)
  return specifiers.map((name) =>
    name.startsWith('.') ? relative(root, join(root, dirname(file), name)) : name,
  )
}

describe('architecture', () => {
  test('imports in src go down only, or stay in their folder', () => {
    const wrong: string[] = []
    for (const file of filesUnder('src')) {
      const folder = file.split('/')[1] as string
      if (folder.endsWith('.ts')) continue
      expect(RANKS, `src/${folder} has no rank`).toHaveProperty(folder)
      for (const imported of importsOf(file)) {
        const target = imported.startsWith('src/') ? (imported.split('/')[1] as string) : undefined
        if (target === undefined || target === folder) continue
        if ((RANKS[target] ?? 99) >= (RANKS[folder] as number)) wrong.push(`${file} → ${imported}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test('only the command that starts an emulator knows the emulators', () => {
    const users = filesUnder('src').filter((file) =>
      importsOf(file).some((imported) => imported.startsWith('emulators/')),
    )
    expect(users).toEqual(['src/cli/commands/emulate.ts'])
  })

  test('emulators import nothing from src but core', () => {
    const wrong = filesUnder('emulators').flatMap((file) =>
      importsOf(file)
        .filter((imported) => imported.startsWith('src/') && !imported.startsWith('src/core/'))
        .map((imported) => `${file} → ${imported}`),
    )
    expect(wrong).toEqual([])
  })

  test('nothing leaves the process but through core/http', () => {
    /** Files that look as if they sent something, and why they do not. */
    const harmless: Readonly<Record<string, string>> = {
      'src/core/http.ts': 'the one way out',
      'src/connections/drill/notice-inbox.ts': 'listens for the notices of a drill',
      'src/cli/serve/listen.ts': 'listens for the authority and its metrics',
      'src/protocol/print-request.ts': 'prints a call of fetch as text',
      'src/protocol/loopback-door.ts': 'listens for the loopback redirect of a login',
      'src/server/authority.ts': 'has a fetch that answers requests',
      'src/server/wire/trusted-proxies.ts': 'compares the addresses of proxies',
    }
    const senders = filesUnder('src').filter((file) => {
      const text = readFileSync(join(root, file), 'utf8')
      // A type sends nothing.
      const code = text.replace(/^import type [^;]*? from '[^']+'/gm, '')
      const sends = importsOf(file, code).some((name) =>
        /^(undici|node:https?|node:net)$/.test(name),
      )
      return sends || /(?<![.\w])fetch\(/.test(text)
    })
    expect(senders.sort()).toEqual(Object.keys(harmless).sort())
  })

  test('a drawer for odds and ends does not exist', () => {
    const drawers = filesUnder('src').filter((file) =>
      /\/(utils?|helpers?|common|misc|types)(\/|\.ts$)/.test(file),
    )
    expect(drawers).toEqual([])
  })
})

describe('the error table', () => {
  test('docs/errors.md lists every code with its exit code, and no other', () => {
    const text = readFileSync(join(root, 'docs/errors.md'), 'utf8')
    const rows = [...text.matchAll(/^\| `([a-z_]+)` +\| (\d) +\|/gm)]
    const listed = Object.fromEntries(rows.map(([, code, exit]) => [code, Number(exit)]))
    expect(listed).toEqual(ERRORS)
    expect(rows.length).toBe(Object.keys(ERRORS).length)
  })
})

describe('the tables of events', () => {
  const text = readFileSync(join(root, 'docs/authority.md'), 'utf8')
  const rowsUnder = (head: string) => {
    const table = new RegExp(`^\\| ${head} +\\|.*\\n((?:\\|.*\\n)+)`, 'm').exec(text)?.[1] ?? ''
    return [...table.matchAll(/^\| `([^`]+)` +\|(.*)\|$/gm)]
  }
  const sorted = (names: Iterable<string | undefined>) => [...names].sort()

  test('docs/authority.md lists every type and every cause, and no other', () => {
    const types = rowsUnder('Type').map(([, type]) => type)
    expect(sorted(types)).toEqual(sorted(EVENT_TYPES))
    const causes = rowsUnder('Cause').map(([, cause]) => cause)
    expect(sorted(causes)).toEqual(sorted(CAUSES))
  })

  test('every cause brings an event about', () => {
    const used = rowsUnder('Type').flatMap(
      ([, , cells = '']) => cells.split('|').at(-1)?.match(/\w+/g) ?? [],
    )
    expect(sorted(new Set(used))).toEqual(sorted(CAUSES))
  })

  test('no section of docs/authority.md is there twice', () => {
    const heads = [...text.matchAll(/^#+ (.+)$/gm)].map(([, head]) => head)
    expect(heads).toEqual([...new Set(heads)])
  })
})

describe('the package', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string
    exports: Record<string, string | { default: string; types: string }>
    dependencies: Record<string, string>
    devDependencies: Record<string, string>
  }

  test('every export has a door in the source that holds no logic', () => {
    for (const target of Object.values(manifest.exports)) {
      if (typeof target === 'string') continue
      const source = target.default.replace('./dist/', '').replace(/\.js$/, '.ts')
      const text = readFileSync(join(root, source), 'utf8')
      const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
      const rest = code.replace(/export (type )?\{[^}]*\} from '[^']+'/g, '').trim()
      expect(rest, source).toBe('')
      expect(target.types).toBe(target.default.replace(/\.js$/, '.d.ts'))
    }
  })

  test('the version in the code is the one in package.json', () => {
    expect(VERSION).toBe(manifest.version)
  })

  test('docs/dependencies.md gives a reason for every dependency, and for no other', () => {
    const text = readFileSync(join(root, 'docs/dependencies.md'), 'utf8')
    const listed = [...text.matchAll(/^\| `([^`]+)` +\|/gm)].map((match) => match[1] as string)
    const used = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)]
    expect(listed.sort()).toEqual(used.sort())
  })
})

describe('the registry of providers', () => {
  test('has a line for each file and folder of src/providers', () => {
    const shared = new Set([
      ...['provider.ts', 'registry.ts'],
      ...['connection-way.ts', 'token-answer.ts', 'trait-options.ts'],
    ])
    const found = readdirSync(join(root, 'src/providers')).filter((name) => !shared.has(name))
    expect(found.map((name) => name.replace(/\.ts$/, '')).sort()).toEqual(
      [...PROVIDERS.keys()].sort(),
    )
  })
})
