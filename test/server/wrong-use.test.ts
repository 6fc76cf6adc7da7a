import { describe, expect, test } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import {
  behindProxy,
  mountExpress,
  mountFastify,
  mountFetch,
  mountHono,
  mountNode,
  onlyEndpoints,
  openPostgresAuthorityStore,
  openSqliteAuthorityStore,
} from '../../src/server/index.ts'
import { openEndpoints } from './endpoints-world.ts'

const refusal = (message: RegExp) => ({ code: 'usage', message: expect.stringMatching(message) })
const thrownBy = (call: () => unknown): unknown => {
  try {
    return call()
  } catch (error) {
    return error
  }
}

describe('a mount of what is no handle is refused at start', () => {
  const mounts: readonly [string, (handle: never) => unknown][] = [
    ['mountNode', mountNode],
    ['mountExpress', mountExpress],
    ['mountFastify', mountFastify],
    ['mountHono', mountHono],
    ['mountFetch', mountFetch],
    ['behindProxy', (handle) => behindProxy(handle, ['127.0.0.1'])],
  ]
  test.each(mounts)('%s', async (_, mount) => {
    await using world = await openEndpoints()
    for (const wrong of [world.authority, undefined, null, 'handle']) {
      const error = thrownBy(() => mount(wrong as never))
      expect(error).toMatchObject(refusal(/^A mount needs .*authority\.handle/))
    }
    expect(mount(world.authority.handle as never)).toBeTypeOf('function')
  })
})

test('onlyEndpoints refuses what is no authority, and names that no endpoint has', async () => {
  await using world = await openEndpoints()
  const { authority } = world
  for (const names of [['revok'], ['revoke', 'toString'], [], 'revoke', undefined]) {
    const error = thrownBy(() => onlyEndpoints(authority, names as never))
    expect(error).toMatchObject(refusal(/names of endpoints: authorize, token, revoke, /))
  }
  for (const wrong of [authority.handle, undefined, {}]) {
    const error = thrownBy(() => onlyEndpoints(wrong as never, ['revoke']))
    expect(error).toMatchObject(refusal(/must be an authority\.$/))
  }
})

test.each<[string, object, RegExp]>([
  ['a secret that is a text', { secret: 'whsec_geheim' }, /key secret must be a Secret/],
  ['no secret', { secret: undefined }, /key secret must be a Secret/],
  ['a text among secrets', { secret: ['whsec_geheim'] }, /key secret must be a Secret/],
  ['no address', { url: undefined }, /key url must be an address/],
  ['a type that no event has', { types: ['grant.revokd'] }, /key types must be .*grant\.revoked/],
  ['a text for a time', { timeoutMs: '5' }, /key timeoutMs must be a number/],
  ['a misspelt key', { typs: [] }, /no key typs\. Known are url, secret/],
])('a webhook with %s is refused at start', async (_, change, message) => {
  const secret = new Secret(`whsec_${Buffer.alloc(32, 5).toString('base64')}`)
  const webhook = { url: 'https://siem.example/in', secret, ...change }
  const error = await openEndpoints({ webhooks: [webhook as never] }).catch((reason) => reason)
  expect(error).toMatchObject(refusal(message))
  expect(String(error)).not.toContain('geheim')
})

test('clients: what is no client is one sentence', async () => {
  await using world = await openEndpoints()
  const { clients } = world.authority
  for (const wrong of [undefined, null, 'app']) {
    await expect(clients.add(wrong as never)).rejects.toMatchObject(refusal(/^Give an object/))
  }
  await world.addClient({ id: 'gone' })
  await clients.disable('gone')
  await expect(clients.rotateSecret('gone')).rejects.toMatchObject(refusal(/"gone" is disabled/))
  for (const call of [clients.rotateSecret, clients.disable]) {
    const calling = call(undefined as never)
    await expect(calling).rejects.toMatchObject({ code: 'client_unknown' })
  }
})

test.each([[undefined], [''], [null], [{ path: 'a' }]])(
  'an SQLite store without a path is refused: %j',
  async (path) => {
    const opening = openSqliteAuthorityStore(path as never)
    await expect(opening).rejects.toMatchObject(refusal(/needs the path of its file/))
  },
)

test.each([
  [undefined],
  [{}],
  [{ connectionString: undefined }],
  [{ connectionString: '' }],
  [{ connectionString: new Secret('') }],
  [{ connectionstring: 'postgres://geheim@127.0.0.1:1/d' }],
])(
  'a PostgreSQL store without a database is refused, and nobody is dialled: %j',
  async (options) => {
    const opening = openPostgresAuthorityStore(options as never)
    await expect(opening).rejects.toMatchObject(
      refusal(/^The authority's store needs its database/),
    )
  },
)
