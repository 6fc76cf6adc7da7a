import { describe, expect, test } from 'vitest'
import {
  FAULT_KINDS,
  type Fault,
  type FaultKind,
  type SalesforceOrg,
} from '../../../emulators/index.ts'
import {
  grantWhere,
  query,
  queryAllPages,
  rest,
  revoke,
  send,
  startOrg,
  usableGrant,
} from './org-fixture.ts'

/** What a revoke under each fault answers, and whether it took effect. `cut` is a connection that ended. */
const ON_REVOKE: Readonly<Record<FaultKind, readonly [answer: number | 'cut', dead: boolean]>> = {
  bad_id_404: [404, false],
  too_many_429: [429, false],
  unavailable_503: [503, false],
  error_500_before_effect: [500, false],
  error_500_after_effect: [500, true],
  reset_before_effect: ['cut', false],
  reset_after_effect: ['cut', true],
  hang: ['cut', true],
  slow: [200, true],
  hang_before_effect: ['cut', false],
  redirect_302: [302, false],
  ok_without_effect: [200, false],
  delayed_visibility: [200, true],
  session_expired: [200, true],
  reauthorise: [200, true],
  request_limit_403: [403, false],
  drop_row: [200, true],
  duplicate_row: [200, true],
  new_grant: [200, true],
  grant_vanishes: [200, true],
  truncated_body: ['cut', true],
  html_200: [200, false],
  malformed_200: [200, false],
  error_in_200: [200, false],
  empty_200: [200, false],
  invalid_client_401: [401, false],
  forbidden_403: [403, false],
}

async function answerOf(org: SalesforceOrg, token: string): Promise<number | 'cut'> {
  try {
    return (await revoke(org, token)).status
  } catch {
    return 'cut'
  }
}

describe('faults: what is answered, and what is done', () => {
  test.each(FAULT_KINDS)('%s on a revoke', async (kind) => {
    const org = await startOrg({ faults: [{ kind, on: 'revoke', ms: 30 }] })
    const { deleteToken } = usableGrant(org)
    const [answer, dead] = ON_REVOKE[kind]
    expect(await answerOf(org, deleteToken)).toBe(answer)
    expect(org.truth.isAlive(deleteToken)).toBe(!dead)
    expect(org.log.at(-1)).toMatchObject({ route: 'revoke', fault: kind })
  })

  test('the control plane says how many calls each fault in force has struck', async () => {
    const org = await startOrg({ faults: [] })
    const struck = async () => {
      const { faults } = (await (await fetch(`${org.url}/__emulator/faults`)).json()) as {
        faults: readonly { readonly kind: string; readonly struck: number }[]
      }
      return faults.map((fault) => [fault.kind, fault.struck])
    }
    org.setFaults([
      { kind: 'bad_id_404', on: 'revoke', nth: [1, 3] },
      { kind: 'unavailable_503', on: 'any' },
    ])
    for (let calls = 0; calls < 3; calls += 1) await revoke(org, 'x')
    // Where two would strike, only the first has.
    expect(await struck()).toEqual([
      ['bad_id_404', 2],
      ['unavailable_503', 1],
    ])
    org.setFaults([{ kind: 'unavailable_503', on: 'any' }])
    expect(await struck()).toEqual([['unavailable_503', 0]])
  })

  test('Retry-After stands on 429, and on 503 where the fault gives it', async () => {
    const org = await startOrg()
    const headerOf = async (fault: Fault): Promise<string | null> => {
      org.setFaults([fault])
      return (await revoke(org, 'x')).headers.get('retry-after')
    }
    expect(await headerOf({ kind: 'too_many_429', on: 'revoke' })).toBe('1')
    expect(await headerOf({ kind: 'too_many_429', on: 'any', retryAfterS: 9 })).toBe('9')
    expect(await headerOf({ kind: 'unavailable_503', on: 'revoke' })).toBeNull()
    expect(await headerOf({ kind: 'unavailable_503', on: 'revoke', retryAfterS: 3 })).toBe('3')
  })

  test('bad_id_404 says Bad_Id in plain text', async () => {
    const org = await startOrg({ faults: [{ kind: 'bad_id_404', on: 'revoke' }] })
    expect((await revoke(org, 'x')).text).toBe('Bad_Id')
  })

  test('delayed_visibility: dead at once, and shown for its time', async () => {
    let now = Date.UTC(2026, 0, 1)
    const faults: Fault[] = [{ kind: 'delayed_visibility', on: 'revoke', ms: 2_000 }]
    const org = await startOrg({ now: () => now, faults })
    await revoke(org, usableGrant(org).deleteToken)
    const shown = async () => (await query(org, 'SELECT COUNT() FROM OauthToken')).json.totalSize
    expect([await shown(), org.truth.counts().shown, org.truth.counts().alive]).toEqual([
      1_201, 1_201, 1_200,
    ])
    now += 2_000
    expect([await shown(), org.truth.counts().shown]).toEqual([1_200, 1_200])
  })

  test('reauthorise: the app makes a new grant for the same user after its time', async () => {
    let now = Date.UTC(2026, 0, 1)
    const faults: Fault[] = [{ kind: 'reauthorise', on: 'revoke', nth: 1, ms: 5_000 }]
    const org = await startOrg({ now: () => now, faults })
    const grant = usableGrant(org)
    await revoke(org, grant.deleteToken)
    expect(org.truth.counts()).toMatchObject({ alive: 1_200, grants: 1_201 })
    now += 5_000
    expect(org.truth.counts()).toMatchObject({ alive: 1_201, grants: 1_202 })
    const back = [...org.truth.grants()].at(-1)!
    expect(back).toMatchObject({
      userId: grant.userId,
      appId: grant.appId,
      createdAt: now,
      alive: true,
    })
  })

  test('session_expired: the call itself meets a dead session', async () => {
    const org = await startOrg({ faults: [{ kind: 'session_expired', on: 'query', nth: 2 }] })
    const soql = 'SELECT COUNT() FROM User'
    expect((await query(org, soql)).status).toBe(200)
    expect((await query(org, soql)).json[0].errorCode).toBe('INVALID_SESSION_ID')
    expect((await rest(org, '/limits')).status).toBe(401)
  })

  test('drop_row: a page lacks a row, and the count does not', async () => {
    const org = await startOrg({ faults: [{ kind: 'drop_row', on: 'query', nth: 2 }] })
    const { records, totalSize } = await queryAllPages(org, 'SELECT DeleteToken FROM OauthToken')
    expect([totalSize, records.length]).toEqual([1_201, 1_200])
  })

  test('duplicate_row: a page has a row twice', async () => {
    const org = await startOrg({ faults: [{ kind: 'duplicate_row', on: 'query', nth: 2 }] })
    const { records } = await queryAllPages(org, 'SELECT DeleteToken FROM OauthToken')
    expect(records.length).toBe(1_202)
    expect(new Set(records.map((record) => record.DeleteToken)).size).toBe(1_201)
  })

  test.each([
    ['new_grant', { grants: 1_202, alive: 1_202 }],
    ['grant_vanishes', { grants: 1_201, alive: 1_200, dead: 1 }],
  ] as const)('%s: the org lives on beside the client', async (kind, counts) => {
    const org = await startOrg({ faults: [{ kind, on: 'query', nth: 1 }] })
    const { json } = await query(org, 'SELECT COUNT() FROM OauthToken')
    expect(org.truth.counts()).toMatchObject(counts)
    expect(json.totalSize).toBe(counts.alive)
  })

  test('reauthorise: an app does not come back for a user who has left', async () => {
    const org = await startOrg({ faults: [{ kind: 'reauthorise', on: 'revoke' }] })
    await revoke(org, grantWhere(org, (grant) => !grant.userIsActive).deleteToken)
    expect(org.truth.counts()).toMatchObject({ alive: 1_200, grants: 1_201 })
  })

  test.each([
    ['usage', '/apps/oauth/usage/APP/tokens'],
    ['session-delete', '/sobjects/AuthSession/SESSION'],
  ] as const)('ok_without_effect on %s', async (on, path) => {
    const org = await startOrg({ faults: [{ kind: 'ok_without_effect', on }] })
    const app = org.truth.apps().find((entry) => entry.kind === 'external')!
    const session = org.truth.sessions().at(-1)!
    const full = path.replace('APP', app.applicationId!).replace('SESSION', session.id)
    expect((await rest(org, full, { method: 'DELETE' })).status).toBe(204)
    expect(org.truth.counts().dead).toBe(0)
    expect(org.truth.sessions().find((entry) => entry.id === session.id)!.alive).toBe(true)
  })
})

describe('faults: when they strike', () => {
  const pattern = async (org: SalesforceOrg, calls: number): Promise<string> => {
    let text = ''
    for (let n = 0; n < calls; n += 1) text += (await revoke(org, 'x')).status === 503 ? 'x' : '.'
    return text
  }

  test.each([
    ['nth: 3', { nth: 3 }, '..x...'],
    ['nth: [1, 4]', { nth: [1, 4] }, 'x..x..'],
    ['always', {}, 'xxxxxx'],
    ['never', { probability: 0 }, '......'],
  ] as const)('%s', async (_, when, wanted) => {
    const org = await startOrg({ faults: [{ kind: 'unavailable_503', on: 'revoke', ...when }] })
    expect(await pattern(org, 6)).toBe(wanted)
  })

  test('calls of other routes are not counted', async () => {
    const org = await startOrg({ faults: [{ kind: 'unavailable_503', on: 'revoke', nth: 2 }] })
    await send(`${org.url}/services/data`)
    expect(await pattern(org, 3)).toBe('.x.')
  })

  test('by probability: the same seed strikes the same calls, another seed others', async () => {
    const faults: Fault[] = [{ kind: 'unavailable_503', on: 'revoke', probability: 0.3 }]
    const patterns: string[] = []
    for (const seed of [1, 1, 2]) patterns.push(await pattern(await startOrg({ seed, faults }), 60))
    expect(patterns[0]).toBe(patterns[1])
    expect(patterns[0]).not.toBe(patterns[2])
    expect(patterns[0]!.replaceAll('.', '').length).toBeGreaterThan(6)
    expect(patterns[0]!.replaceAll('.', '').length).toBeLessThan(34)
  })

  test('an unknown kind or route is refused with the list of them', async () => {
    const org = await startOrg()
    const wrong = [{ kind: 'gremlin', on: 'revoke' }] as unknown as Fault[]
    expect(() => org.setFaults(wrong)).toThrow(/unknown fault "gremlin"; the kinds are bad_id_404/)
    const nowhere = [{ kind: 'hang', on: 'revok' }] as unknown as Fault[]
    expect(() => org.setFaults(nowhere)).toThrow(
      /unknown route "revok"; the routes are any, revoke/,
    )
  })
})
