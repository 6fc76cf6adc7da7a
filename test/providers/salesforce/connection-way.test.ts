import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createHttp, type Http } from '../../../src/core/http.ts'
import { Secret } from '../../../src/core/secret.ts'
import type { ConnectionApp, HeldToken } from '../../../src/providers/connection-way.ts'
import { mayIssueFor } from '../../../src/providers/salesforce/callback-issuer.ts'
import { salesforceConnection as way } from '../../../src/providers/salesforce/connection-way.ts'
import { answer, type RawServer, startRawServer } from '../../cli/raw-server.ts'

const TOKEN = new Secret('5Aep-a-refresh-token')
let server: RawServer
let http: Http
let says: readonly [status: number, body: unknown]
let describes: readonly [status: number, body: unknown]

beforeAll(async () => {
  http = createHttp()
  server = await startRawServer(({ path }, response) =>
    answer(response, ...(path === '/site/.well-known/openid-configuration' ? describes : says)),
  )
})
afterAll(async () => {
  await http.close()
  await server.close()
})

const app = (): ConnectionApp => ({
  ...{ url: `${server.url}/site`, clientId: 'app', clientSecret: null, options: {} },
  ...{ redirectUri: 'http://127.0.0.1/cb', scopes: [] },
})
const revoke = (facts?: HeldToken['facts']) =>
  way.revoke(app(), { kind: 'refresh', token: TOKEN, facts }, { http })

describe('what a revocation showed', () => {
  test.each<[title: string, status: number, body: unknown, revoked: string]>([
    ['done', 200, '', 'yes'],
    ['a web page of something else', 200, '<html></html>', 'unknown'],
    ['an error under a good status', 200, 'error=unsupported_token_type', 'no'],
    ['not a token that can be revoked', 400, { error: 'unsupported_token_type' }, 'no'],
    ['an endpoint that was lost for a moment', 404, 'Bad_Id', 'no'],
    ['no answer of the org, which may have acted', 500, '', 'unknown'],
    ['no answer of the org behind its gateway', 502, '', 'unknown'],
    ['too busy to act', 503, '', 'no'],
  ])('%s: HTTP %d, %j is %s', async (_title, status, body, revoked) => {
    says = [status, body]
    expect(await revoke()).toMatchObject({ revoked, alreadyDead: false, status })
  })
})

describe('400 invalid_token, which an org says of a dead token, and of another org’s', () => {
  const other = 'https://other.my.salesforce.com'
  const login = 'https://login.salesforce.com'
  test.each<[title: string, facts: () => HeldToken['facts'], revoked: string]>([
    ['given by this host', () => ({ login_url: server.url, instance_url: other }), 'yes'],
    [
      'given by a login host, of this org',
      () => ({ login_url: login, instance_url: server.url }),
      'yes',
    ],
    ['of this org, where nothing else is known', () => ({ instance_url: server.url }), 'yes'],
    [
      'given by a login host, of another org',
      () => ({ login_url: login, instance_url: other }),
      'unknown',
    ],
    ['of another org', () => ({ login_url: other, instance_url: other }), 'unknown'],
    ['of a host that begins the same', () => ({ instance_url: `${server.url}0` }), 'unknown'],
    ['what is no address', () => ({ instance_url: 'acme' }), 'unknown'],
    ['never of use', () => ({}), 'unknown'],
    ['nothing is known of it', () => undefined, 'unknown'],
  ])('%s: %#', async (_title, facts, revoked) => {
    says = [400, 'error=invalid_token']
    expect(await revoke(facts())).toMatchObject({ revoked, alreadyDead: true, status: 400 })
  })
})

test('where a grant came from stands beside its tokens', async () => {
  says = [200, { access_token: '00Dxx!at', instance_url: 'https://acme.my.salesforce.com' }]
  const { tokens } = await way.refresh(app(), TOKEN, { http })
  expect(tokens?.facts).toEqual({
    ...{ login_url: server.url, instance_url: 'https://acme.my.salesforce.com' },
  })
})

describe('RFC 9207 section 2.4: the issuer that a callback names', () => {
  const OTHER = 'https://evil.example'
  const CUSTOM = 'https://login.acme.example'
  const METADATA = '/site/.well-known/openid-configuration'
  const SENT = '/site/services/oauth2/token'
  test.each<[string, () => string | null, readonly [number, unknown], string[], string | null]>([
    ['none: nothing is asked', () => null, [503, {}], [SENT], null],
    ['the host’s own: nothing is asked', () => server.url, [503, {}], [SENT], null],
    ['the url’s own: nothing is asked', () => `${server.url}/site`, [503, {}], [SENT], null],
    ['what the metadata says', () => CUSTOM, [200, { issuer: CUSTOM }], [METADATA, SENT], null],
    ['another', () => OTHER, [200, { issuer: CUSTOM }], [METADATA], 'issuer_mismatch'],
    ['another, and no metadata', () => OTHER, [404, 'no'], [METADATA], 'issuer_mismatch'],
    ['metadata that is none', () => OTHER, [200, 'null'], [METADATA], 'issuer_mismatch'],
    [
      'a server that is busy: nothing is known',
      () => CUSTOM,
      [503, {}],
      [METADATA],
      'metadata_busy',
    ],
  ])('%s', async (_title, iss, metadata, paths, error) => {
    says = [200, { access_token: '00Dxx!at' }]
    describes = metadata
    server.requests.length = 0
    const grant = { code: new Secret('code'), verifier: new Secret('verifier'), iss: iss() }
    const answered = await way.redeem(app(), grant, { http })
    expect(server.requests.map(({ path }) => path)).toEqual(paths)
    const isSent = paths.includes(SENT)
    expect(answered).toMatchObject({ error, mayHaveActed: isSent })
    expect(answered.tokens !== null).toBe(isSent)
  })

  const [LOGIN, TEST] = ['https://login.salesforce.com', 'https://test.salesforce.com']
  const ACME = 'https://acme.my.salesforce.com'
  const SANDBOX = 'https://acme--dev.sandbox.my.salesforce.com'
  test.each([
    [ACME, ACME, true],
    [`${ACME}/`, ACME, true],
    [ACME, LOGIN, true],
    [SANDBOX, TEST, true],
    [LOGIN, ACME, true],
    [TEST, SANDBOX, true],
    [ACME, 'https://other.my.salesforce.com', false],
    [LOGIN, TEST, false],
    [ACME, 'http://login.salesforce.com', false],
    [ACME, 'https://login.salesforce.com.evil.example', false],
    [LOGIN, 'https://evil.example/.my.salesforce.com', false],
    [LOGIN, 'https://my.salesforce.com.evil.example', false],
    ['https://acme.my.site.com/portal', LOGIN, false],
    ['http://127.0.0.1:50123', LOGIN, false],
  ])('%s, which %s may speak for: %s', (url, iss, may) => {
    expect(mayIssueFor(url, iss)).toBe(may)
  })
})
