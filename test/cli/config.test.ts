import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/cli/config.ts'
import { addTenant, removeTenant } from '../../src/cli/config-file.ts'
import type { Secret } from '../../src/core/secret.ts'
import { tempHome } from '../support/temp-home.ts'

let home: ReturnType<typeof tempHome>
beforeEach(() => {
  home = tempHome()
})
afterEach(() => home[Symbol.dispose]())

function write(name: string, text: string): string {
  const path = join(home.path, name)
  writeFileSync(path, text)
  return path
}

const TENANT = 'provider: salesforce, url: https://acme.example'
const load = (env: Record<string, string> = {}, file?: string) =>
  loadConfig({ env: { HOME: join(home.path, 'user'), ...env }, cwd: home.path, file })

describe('where the configuration is', () => {
  test('--config, then RESCIND_CONFIG, then this folder, then the home folder', () => {
    mkdirSync(join(home.path, 'user', '.rescind'), { recursive: true })
    const of = (name: string) => `tenants: { ${name}: { ${TENANT} } }`
    const names = (config: ReturnType<typeof load>) => [...config.tenants.keys()]
    expect(load()).toMatchObject({ exists: false, path: join(home.path, 'rescind.yaml') })
    writeFileSync(join(home.path, 'user', '.rescind', 'rescind.yaml'), of('home'))
    expect(names(load())).toEqual(['home'])
    write('rescind.yaml', of('here'))
    expect(names(load())).toEqual(['here'])
    write('env.yaml', of('env'))
    expect(names(load({ RESCIND_CONFIG: 'env.yaml' }))).toEqual(['env'])
    write('flag.yaml', of('flag'))
    expect(names(load({ RESCIND_CONFIG: 'env.yaml' }, 'flag.yaml'))).toEqual(['flag'])
  })

  test('a file that RESCIND_CONFIG names and is not there is no empty one', () => {
    expect(() => load({ RESCIND_CONFIG: 'gone.yaml' })).toThrow(
      expect.objectContaining({ code: 'config_missing' }),
    )
  })

  test('the store is in RESCIND_HOME, else where the file says, else in the home folder', () => {
    expect(load().home).toBe(join(home.path, 'user', '.rescind'))
    write('rescind.yaml', 'home: deep/store')
    expect(load().home).toBe(join(home.path, 'deep', 'store'))
    expect(load({ RESCIND_HOME: 'elsewhere' }).home).toBe(join(home.path, 'elsewhere'))
    expect(load({ RESCIND_HOME: '/elsewhere' }).home).toBe('/elsewhere')
  })

  test.for(['', '# nothing\n', 'tenants: {}\n'])('%j has no tenant', (text) => {
    write('rescind.yaml', text)
    expect(load()).toMatchObject({ exists: true, tenants: new Map() })
  })
})

describe('references to secrets', () => {
  const login = (text: string) =>
    write(
      'rescind.yaml',
      `tenants:\n  acme:\n    provider: salesforce\n    url: https://acme.example\n    login: ${text}\n`,
    )

  test('an environment variable and a file become secrets, at any depth', () => {
    write('secret.txt', 'from the file\n')
    login(`{ method: x, a: "\${env:A}", deep: { list: ["\${file:secret.txt}", plain] } }`)
    const filled: Readonly<Record<string, unknown>> =
      load({ A: 'from the environment' }).tenants.get('acme')?.login ?? {}
    expect(filled.method).toBe('x')
    expect((filled.a as Secret).reveal()).toBe('from the environment')
    const [one, two] = (filled.deep as { list: [Secret, string] }).list
    expect([one.reveal(), two]).toEqual(['from the file', 'plain'])
    expect(JSON.stringify(filled)).not.toContain('from the')
  })

  test.for([
    [
      `"\${env:GONE}"`,
      /tenants\.acme\.login\.a wants the environment variable GONE, which is not set/,
    ],
    [
      `"\${file:gone.txt}"`,
      /tenants\.acme\.login\.a wants the file .*gone\.txt, which cannot be read/,
    ],
  ] as const)(
    '%s that is not there is said when it is needed, and not before',
    ([reference, message]) => {
      login(`{ method: x, a: ${reference} }`)
      const tenant = load().tenants.get('acme')
      expect(tenant?.url).toBe('https://acme.example')
      expect(() => tenant?.login.a).toThrow(message)
    },
  )

  test.for([`x\${env:A}`, `\${env:A}y`, `\${other:A}`, `\${env:}`])(
    '%s is no reference, for a secret is never glued to other text',
    (text) => {
      login(`{ a: "${text}" }`)
      expect(load({ A: 'hunter22' }).tenants.get('acme')?.login.a).toBe(text)
    },
  )

  test('a url whose variable is not set harms no other tenant', () => {
    write(
      'rescind.yaml',
      `tenants:\n  a: { provider: x, url: "\${env:GONE}" }\n  b: { ${TENANT} }\n`,
    )
    expect(load().tenants.get('b')?.url).toBe('https://acme.example')
    expect(() => load().tenants.get('a')?.url).toThrow(/GONE/)
    expect(load({ GONE: 'https://back.example' }).tenants.get('a')?.url).toBe(
      'https://back.example',
    )
  })
})

describe('writing the configuration', () => {
  const tenant = {
    provider: 'salesforce',
    url: 'https://acme.example',
    login: { method: 'sf', org: 'x' },
  }

  test('is for its owner alone, and keeps comments and other tenants', () => {
    const path = write('rescind.yaml', `# ours\ntenants:\n  old: { ${TENANT} } # since 2020\n`)
    chmodSync(path, 0o644)
    addTenant(path, 'acme', tenant)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const text = readFileSync(path, 'utf8')
    expect(text).toMatch(/^# ours\n/)
    expect(text).toContain('# since 2020')
    expect([...load().tenants.keys()]).toEqual(['old', 'acme'])
    removeTenant(path, 'acme')
    expect([...load().tenants.keys()]).toEqual(['old'])
    expect(readFileSync(path, 'utf8')).toContain('# since 2020')
  })

  test.for(['', '# none yet\n', 'tenants: {}\n', 'home: x\n'])(
    'adds to a file that holds %j',
    (text) => {
      const path = write('rescind.yaml', text)
      addTenant(path, 'acme', tenant)
      expect(load().tenants.get('acme')).toMatchObject({
        provider: 'salesforce',
        url: 'https://acme.example',
      })
    },
  )

  test('makes a file, and its folder, at first', () => {
    const path = join(home.path, 'new', 'folder', 'rescind.yaml')
    addTenant(path, 'acme', tenant)
    expect(statSync(join(home.path, 'new', 'folder')).mode & 0o777).toBe(0o700)
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })
})
