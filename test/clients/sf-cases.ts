import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SalesforceOrg } from '../../emulators/index.ts'
import type { ClientCase } from './client-case.ts'
import type { SfCli } from './sf-cli.ts'

const SOQL = 'SELECT AppName, DeleteToken, User.Name FROM OauthToken'

/** What the cases of Salesforce's CLI work with: an org, and a home for each login. */
export interface SfWorld {
  readonly org: SalesforceOrg
  /** An org with more rows than one query gives. */
  readonly crowded: SalesforceOrg
  /** The home that is logged in by access token. */
  readonly byToken: SfCli
  /** The home that is logged in by JWT bearer. */
  readonly byJwt: SfCli
  /** The home that is logged in through the browser. */
  readonly byWeb: SfCli
}

/** The CLI logs in each way, asks, and logs out. Leaves `byWeb` logged in as the alias `web`. */
export function sfCases(world: SfWorld): readonly ClientCase[] {
  return [
    ...accessTokenCases(world),
    ...crowdedCases(world),
    ...jwtCases(world),
    ...webCases(world),
  ].map(([title, run]) => ({ client: 'sf', title, run }))
}

type Case = readonly [title: string, run: () => Promise<string>]

function accessTokenCases({ org, byToken: sf }: SfWorld): readonly Case[] {
  const { accessToken, admin, ownDeleteToken } = org.credentials
  const login = ['org', 'login', 'access-token', '--instance-url', org.url, '--no-prompt']
  return [
    [
      'org login access-token',
      async () => {
        const args = [...login, '--alias', 'token']
        const { username, orgId } = await sf.result(args, { SF_ACCESS_TOKEN: accessToken })
        assert.deepEqual([username, orgId], [admin.username, org.organizationId])
        return username
      },
    ],
    [
      'org login access-token, a dead token',
      async () => {
        const dead = accessToken.replace(/.{8}$/, 'xxxxxxxx')
        const { exit, json } = await sf.run([...login, '--json'], { SF_ACCESS_TOKEN: dead })
        assert.notEqual(exit, 0)
        return `exit ${exit}, ${json.name}`
      },
    ],
    ['org display', () => display(sf, 'token')],
    [
      'org auth show-access-token',
      async () => {
        const shown = await sf.result(['org', 'auth', 'show-access-token', '-o', 'token'])
        assert.equal(shown.accessToken, accessToken)
        return 'the token of the login'
      },
    ],
    ['data query, 1,201 rows in three pages', () => queryAll(org, sf, 'token')],
    [
      'data query, as CSV',
      async () => {
        const { stdout } = await sf.run(['data', 'query', ...csv(), '-o', 'token'])
        const [head, ...rows] = stdout.trim().split('\n')
        assert.deepEqual([head, rows.length], ['AppName,DeleteToken,User.Name', shownRows(org)])
        return `${rows.length} rows, a title line`
      },
    ],
    [
      'data query, an unknown field',
      async () => {
        const args = ['data', 'query', '--query', 'SELECT Nope FROM OauthToken', '-o', 'token']
        const { json } = await sf.run([...args, '--json'])
        assert.equal(json.name, 'INVALID_FIELD')
        return json.name
      },
    ],
    [
      'org list limits',
      async () => {
        const [limit] = await sf.result(['org', 'list', 'limits', '-o', 'token'])
        assert.equal(limit.name, 'DailyApiRequests')
        return `${limit.remaining} of ${limit.max} requests left`
      },
    ],
    [
      'org logout: the token lives',
      async () => {
        await logOut(org, sf, 'token')
        const { status } = await fetch(`${org.url}/services/oauth2/userinfo`, {
          headers: { authorization: `Bearer ${accessToken}` },
        })
        assert.deepEqual([status, org.truth.isAlive(ownDeleteToken)], [200, true])
        return 'no request was sent; userinfo says 200, the grant lives'
      },
    ],
  ]
}

/** The silent stop at 2,500 rows, as a client of others meets it. */
function crowdedCases({ crowded: org, byToken: sf }: SfWorld): readonly Case[] {
  const login = ['org', 'login', 'access-token', '--instance-url', org.url, '--no-prompt']
  return [
    [
      'data query, 3,001 rows: it stops at 2,500',
      async () => {
        const { accessToken: SF_ACCESS_TOKEN } = org.credentials
        await sf.result([...login, '--alias', 'crowded'], { SF_ACCESS_TOKEN })
        const args = ['data', 'query', '--query', SOQL, '-o', 'crowded', '--json']
        const { result, warnings } = (await sf.run(args)).json
        const { records, totalSize, done } = result
        assert.deepEqual([records.length, totalSize, done], [2_500, 3_001, true])
        assert.match(String(warnings), /missing 501 records due to a 50000 record limit/)
        return 'totalSize is 3001, done is true, and the warning names a limit that it is not'
      },
    ],
  ]
}

function jwtCases({ org, byJwt: sf }: SfWorld): readonly Case[] {
  const { clientId, username, privateKeyPem } = org.credentials.jwt
  const key = join(sf.home, 'server.key')
  return [
    [
      'org login jwt',
      async () => {
        writeFileSync(key, privateKeyPem, { mode: 0o600 })
        const from = ['--client-id', clientId, '--jwt-key-file', key, '--username', username]
        const where = ['--instance-url', org.url, '--alias', 'jwt']
        const done = await sf.result(['org', 'login', 'jwt', ...from, ...where])
        assert.equal(done.orgId, org.organizationId)
        return done.username
      },
    ],
    ['org display', () => display(sf, 'jwt')],
    ['data query, 1,201 rows in three pages', () => queryAll(org, sf, 'jwt')],
    [
      'an ended session: the CLI signs another assertion',
      async () => {
        org.expireSessions()
        const count = ['data', 'query', '--query', 'SELECT COUNT() FROM OauthToken']
        const { totalSize } = await sf.result([...count, '-o', 'jwt'])
        assert.equal(totalSize, shownRows(org))
        return `a new session; COUNT() is ${totalSize}`
      },
    ],
    [
      'org logout: the session lives',
      async () => {
        const before = liveSessions(org, 'OauthJwtBearer')
        await logOut(org, sf, 'jwt')
        assert.ok(before > 0 && liveSessions(org, 'OauthJwtBearer') === before)
        return `no request was sent; ${before} session of the app lives`
      },
    ],
  ]
}

function webCases({ org, byWeb: sf }: SfWorld): readonly Case[] {
  // Without --browser: with one, this CLI waits for ever where the browser's command has ended already.
  const login = ['org', 'login', 'web', '--instance-url', org.url]
  const grants = () =>
    [...org.truth.grants()].filter(({ app, createdAt, alive }) => {
      return alive && app === 'Salesforce CLI' && createdAt >= startedAt
    })
  const startedAt = Math.floor(Date.now() / 1000) * 1000
  return [
    [
      'org login web: code with PKCE',
      async () => {
        const { username } = await sf.result([...login, '--alias', 'web'])
        assert.equal(grants().length, 1)
        return `${username}; one new grant of the app Salesforce CLI`
      },
    ],
    [
      'an ended session: the CLI refreshes',
      async () => {
        const before = grants()[0]?.useCount ?? 0
        org.expireSessions()
        const said = await display(sf, 'web')
        assert.equal(grants()[0]?.useCount, before + 1)
        return said
      },
    ],
    [
      'org logout: the grant lives',
      async () => {
        const [grant] = grants()
        await logOut(org, sf, 'web')
        const answer = await fetch(`${org.url}/services/oauth2/token`, {
          method: 'POST',
          body: new URLSearchParams({
            grant_type: 'refresh_token',
            refresh_token: grant?.refreshToken ?? '',
            client_id: grant?.appId ?? '',
          }),
        })
        assert.deepEqual([answer.status, grants().length], [200, 1])
        return 'no request was sent; its refresh token still gives access tokens'
      },
    ],
    [
      'org login web, again',
      async () => {
        await sf.result([...login, '--alias', 'web'])
        assert.equal(grants().length, 2)
        return 'a second grant beside the first'
      },
    ],
  ]
}

async function display(sf: SfCli, alias: string): Promise<string> {
  const shown = await sf.result(['org', 'display', '-o', alias])
  assert.equal(shown.connectedStatus, 'Connected')
  return `${shown.connectedStatus}, ${shown.username}`
}

async function queryAll(org: SalesforceOrg, sf: SfCli, alias: string): Promise<string> {
  const { records } = await sf.result(['data', 'query', '--query', SOQL, '-o', alias])
  const handles = new Set(records.map((record: { DeleteToken: string }) => record.DeleteToken))
  assert.deepEqual([records.length, handles.size], [shownRows(org), shownRows(org)])
  return `${records.length} rows, none twice`
}

function csv(): readonly string[] {
  return ['--query', SOQL, '--result-format', 'csv']
}

async function logOut(org: SalesforceOrg, sf: SfCli, alias: string): Promise<void> {
  org.clearLog()
  await sf.result(['org', 'logout', '-o', alias, '--no-prompt'])
  assert.deepEqual(org.log, [])
}

function shownRows(org: SalesforceOrg): number {
  return org.truth.counts().shown
}

function liveSessions(org: SalesforceOrg, origin: string): number {
  return org.truth.sessions().filter((session) => session.alive && session.origin === origin).length
}
