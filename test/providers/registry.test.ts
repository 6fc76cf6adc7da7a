import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { findProvider, PROVIDERS } from '../../src/providers/registry.ts'

const folder = fileURLToPath(new URL('../../src/providers/', import.meta.url))
/** What stands in the folder and is no provider. */
const NO_PROVIDERS = new Set([
  'provider.ts',
  'registry.ts',
  'connection-way.ts',
  'token-answer.ts',
  'trait-options.ts',
])

const ref = `\${env:NAME}`

describe('the registry of providers', () => {
  it('has one line for each file or folder of src/providers', () => {
    const names = readdirSync(folder)
      .filter((name) => !NO_PROVIDERS.has(name))
      .map((name) => name.replace(/\.ts$/, ''))
    expect([...PROVIDERS.keys()].sort()).toEqual(names.sort())
  })

  it('names the providers that there are, for one that there is not', () => {
    expect(() => findProvider('salesfroce')).toThrow(/no provider "salesfroce".*salesforce/)
  })

  it.each<[string, Record<string, unknown>, RegExp | null]>([
    ['salesforce', { method: 'client_credentials', clientId: 'x', clientSecret: ref }, null],
    [
      'salesforce',
      { method: 'client_secret', clientId: 'x' },
      /login method .* is "client_secret"/,
    ],
    ['salesforce', { method: 'jwt', clientId: 'x', privateKey: ref }, /username is missing/],
    ['salesforce', { method: 'sf', org: 'x', clientSecret: ref }, /unknown key clientSecret/],
    ['rfc7009', { method: 'client_secret_basic', clientId: 'x', clientSecret: ref }, null],
    ['rfc7009', { method: 'none', clientId: 'x' }, null],
    ['rfc7009', { method: 'jwt', clientId: 'x' }, /login.method is not one of/],
    ['rfc7009', { method: 'private_key_jwt', clientKey: ref }, /needs clientId, and/],
    ['rfc7009', { clientId: 'x', privateKey: ref }, /unknown key privateKey/],
  ])('%s checks a tenant before it is added: %j', (id, login, message) => {
    const url = 'https://login.example.com'
    const check = () =>
      findProvider(id).checkConfig?.({ name: 'a', provider: id, url, login, options: {} })
    if (message === null) expect(check).not.toThrow()
    else {
      const text = expect.stringMatching(message)
      expect(check).toThrow(expect.objectContaining({ code: 'config_invalid', message: text }))
    }
  })

  it.each([...PROVIDERS])('%s names the keys of its login that are secrets', (_id, provider) => {
    expect(provider.secrets.length).toBeGreaterThan(0)
    for (const key of provider.secrets) expect(key).toMatch(/(Secret|Token|Key|^password)$/)
  })

  it.each([...PROVIDERS])('%s has the parts that it says it supports', (id, provider) => {
    expect(provider.id).toBe(id)
    expect(provider.supports.kill.length).toBeGreaterThan(0)
    expect(provider.supports.prove).not.toContain('none')
  })
})
