import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { findProvider, PROVIDERS } from '../../src/providers/registry.ts'

const folder = fileURLToPath(new URL('../../src/providers/', import.meta.url))
/** What stands in the folder and is no provider. */
const NO_PROVIDERS = new Set(['provider.ts', 'registry.ts'])

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

  it.each([...PROVIDERS])('%s has the parts that it says it supports', (id, provider) => {
    expect(provider.id).toBe(id)
    expect(provider.supports.kill.length).toBeGreaterThan(0)
    expect(provider.supports.prove).not.toContain('none')
  })
})
