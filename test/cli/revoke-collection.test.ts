import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { NewmanRunSummary } from 'newman'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type OidcServer, SECRET, startOidcServer } from '../protocol/oidc-server.ts'
import { runRevoke } from './run-revoke.ts'

const newman = createRequire(import.meta.url)('newman') as typeof import('newman')
const FILE = fileURLToPath(new URL('../../docs/rescind.postman_collection.json', import.meta.url))

test('docs/rescind.postman_collection.json is what --print postman prints', async () => {
  const { stdout, exitCode } = await runRevoke(['--print', 'postman'])
  expect(exitCode).toBe(0)
  expect(stdout).toBe(readFileSync(FILE, 'utf8'))
})

describe('newman runs what --print postman prints', () => {
  let server: OidcServer
  beforeAll(async () => {
    server = await startOidcServer()
  })
  afterAll(() => server.close())

  function run(collection: object, variables: Record<string, string>, folder?: string) {
    const envVar = Object.entries(variables).map(([key, value]) => ({ key, value }))
    const where = folder === undefined ? {} : { folder }
    return new Promise<NewmanRunSummary>((resolve, reject) => {
      newman.run({ collection, envVar, ...where }, (error, summary) =>
        error ? reject(error) : resolve(summary),
      )
    })
  }

  const summarize = ({ run: { stats, failures } }: NewmanRunSummary) => ({
    requests: stats.requests.total,
    failures: failures.map(({ error }) => error.message),
  })

  test('the folder for a client with a secret', async () => {
    const { access } = await server.grantTokens('post-client')
    const variables = {
      revocationEndpoint: `${server.issuer}/token/revocation`,
      introspectionEndpoint: `${server.issuer}/token/introspection`,
      clientId: 'post-client',
      // Postman does not form-encode Basic credentials.
      clientSecret: encodeURIComponent(SECRET),
      token: access,
    }
    const collection = JSON.parse(readFileSync(FILE, 'utf8'))
    const summary = await run(collection, variables, 'RFC 7009, client with a secret')
    expect(summarize(summary)).toEqual({ requests: 3, failures: [] })
    expect(await server.isAlive('AccessToken', access)).toBe(false)
  })

  test('the folder for a public client', async () => {
    const { refresh } = await server.grantTokens('public-client')
    const revocationEndpoint = `${server.issuer}/token/revocation`
    const variables = { revocationEndpoint, clientId: 'public-client', token: refresh }
    const collection = JSON.parse(readFileSync(FILE, 'utf8'))
    const summary = await run(collection, variables, 'RFC 7009, public client')
    expect(summarize(summary)).toEqual({ requests: 1, failures: [] })
    expect(await server.isAlive('RefreshToken', refresh)).toBe(false)
  })

  test('one request, for one server', async () => {
    const { access } = await server.grantTokens('post-client')
    const client = ['--client-id', 'post-client', '--client-auth', 'client_secret_post']
    const printed = await runRevoke(['--issuer', server.issuer, ...client, '--print', 'postman'])
    const collection = JSON.parse(printed.stdout)
    const summary = await run(collection, { token: access, clientSecret: SECRET })
    expect(summarize(summary)).toEqual({ requests: 1, failures: [] })
    expect(await server.isAlive('AccessToken', access)).toBe(false)
  })
})
