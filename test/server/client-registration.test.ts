import { describe, expect, test } from 'vitest'
import type { NewClient } from '../../src/server/clients.ts'
import { openWorld } from './core-world.ts'

describe('a client is registered only with what it can use', () => {
  const wrong: readonly [string, Omit<NewClient, 'id'>, RegExp][] = [
    ['RFC 6749 section 3.3: a scope with a quote', { scope: 'read "all"' }, /scope: scopes are/],
    ['a scope with a backslash', { scope: 'a\\b' }, /scope: scopes are/],
    ['a scope that is not ASCII', { scope: 'lesen schönes' }, /scope: scopes are/],
    ['a scope with a line feed', { scope: 'read\nwrite' }, /scope: scopes are/],
    ['a scope with two spaces', { scope: 'read  write' }, /single spaces/],
    ['a space at the end of a scope', { scope: 'read ' }, /single spaces/],
    ['RFC 6454 section 6.1: an origin with a path', { origins: ['https://a.example/'] }, /origins/],
    ['an origin with capitals', { origins: ['https://A.example'] }, /origins/],
    ['an origin with its default port', { origins: ['https://a.example:443'] }, /origins/],
    ['any origin', { origins: ['*'] }, /origins/],
    ['no origin', { origins: ['null'] }, /origins/],
    [
      'a key that is not known',
      { redirectUri: 'https://a.example/cb' } as never,
      /^Client "new": Unrecognized key: "redirectUri"\.$/,
    ],
    [
      'RFC 6749 section 4.4: client credentials of a public client',
      { authMethod: 'none', grantTypes: ['client_credentials'] },
      /cannot use client_credentials/,
    ],
  ]
  test.each(wrong)('%s is refused, in one sentence', async (_, settings, says) => {
    await using world = await openWorld()
    const added = world.core.clients.add({ id: 'new', ...settings })
    await expect(added).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/^Client "new": [^\n]+\.$/),
    })
    await expect(added).rejects.toThrow(says)
    expect(await world.core.clients.get('new')).toBe(null)
  })

  const right: readonly [string, Omit<NewClient, 'id'>][] = [
    ['no scope', { scope: '' }],
    ['scopes of all characters that there may be', { scope: "!#[]~ https://a.example/read:x'y" }],
    ['origins', { origins: ['https://a.example', 'http://localhost:5173'] }],
    ['a public client by codes', { authMethod: 'none', grantTypes: ['authorization_code'] }],
  ]
  test.each(right)('%s is right', async (_, settings) => {
    await using world = await openWorld()
    await world.core.clients.add({ id: 'new', ...settings })
    expect(await world.core.clients.get('new')).toMatchObject(settings)
  })

  test('one that a store has from before is known all the same, and can be revoked', async () => {
    await using world = await openWorld()
    const { secrets: _, id: __, enabled: ___, version: ____, ...settings } = world.app
    await world.store.commit({
      ...{ type: 'put_client', expected: null, events: [] },
      client: {
        id: 'old',
        enabled: true,
        settings: JSON.stringify({ ...settings, scope: 'a  b' }),
      },
    })
    expect(await world.core.clients.get('old')).toMatchObject({ scope: 'a  b' })
    await world.core.clients.disable('old')
  })
})
