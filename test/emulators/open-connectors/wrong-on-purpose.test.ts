import { describe, expect, test } from 'vitest'
import { send } from '../salesforce/org-fixture.ts'
import {
  accounts,
  blanksAnd,
  call,
  codeOf,
  disabledInstance,
  header,
  makeInstance,
  refreshesSeen,
  revokeAt,
  startPair,
} from './account-fixture.ts'

describe('platforms that a rehearsal must see through', () => {
  test('does not notice: the dead grant answers from a cache, and nobody is told', async () => {
    const pair = await startPair({ switches: { notices: 'never', valid: 'follows' } })
    const made = await makeInstance(pair)
    const well = await accounts(pair, made)
    await revokeAt(pair, made, 'refresh')
    const after = await accounts(pair, made)
    expect([after.status, after.json]).toEqual([200, well.json])
    expect(await pair.account.runNight()).toEqual({ refreshed: 0, failed: 1 })
    const { json } = await call(pair, `GET /instances/${made.id}`)
    expect([json.valid, json.disabled, pair.account.emails()]).toEqual([true, false, []])
    // The provider itself says what is so.
    const headers = { authorization: `Bearer ${json.configuration['oauth.user.token']}` }
    const direct = await send(`${pair.org.url}/services/data/v62.0/limits`, { headers })
    expect(direct.status).toBe(401)
  })

  test('notices twice: two e-mails of one event', async () => {
    const pair = await startPair({ switches: { notices: 'twice' } })
    const { id } = await disabledInstance(pair)
    const told = pair.account.emails()
    expect(told.map(({ instanceId }) => instanceId)).toEqual([id, id])
    expect(new Set(told.map((email) => email.id)).size).toBe(2)
  })

  test.each([
    ['neighbour', 'admin'],
    ['neighbour-hidden', 'limited'],
  ] as const)(
    'heals into another identity, %s: the configuration says %s',
    async (healsInto, says) => {
      const pair = await startPair({ switches: { healsInto } })
      await makeInstance(pair, { who: 'admin' })
      const made = await makeInstance(pair)
      await revokeAt(pair, made, 'refresh')
      const body = blanksAnd(await codeOf(pair))
      await call(pair, 'PATCH /instances', { authorization: header(pair, made.token), body })
      expect((await accounts(pair, made)).status).toBe(200)
      const { configuration } = (await call(pair, `GET /instances/${made.id}`)).json
      expect(configuration['sfdc.user.id.url']).toContain(pair.org.credentials[says].userId)
      const headers = { authorization: `Bearer ${configuration['oauth.user.token']}` }
      const who = await send(`${pair.org.url}/services/oauth2/userinfo`, { headers })
      expect(who.json.user_id).toBe(pair.org.credentials.admin.userId)
    },
  )

  test('loses the rotated token: the first refresh works, the second kills the grant', async () => {
    const pair = await startPair({ switches: { rotatedToken: 'lost' } })
    const made = await makeInstance(pair, { app: 'rotating' })
    expect(await pair.account.runNight()).toEqual({ refreshed: 1, failed: 0 })
    expect((await accounts(pair, made)).status).toBe(200)
    expect(await pair.account.runNight()).toEqual({ refreshed: 0, failed: 1 })
    const [grant] = [...pair.org.truth.grants()].filter(({ app }) => app === 'Slack Bridge')
    expect(grant).toMatchObject({ alive: false, killedBy: 'replay' })
  })

  test.each([
    ['access', 20, 200],
    ['refresh', 20, 401],
  ] as const)(
    'storms the provider: after a revoke of the %s token, %i refreshes at one call',
    async (kind, sent, status) => {
      const pair = await startPair({ switches: { refreshes: 'storm' } })
      const made = await makeInstance(pair)
      await revokeAt(pair, made, kind)
      expect((await accounts(pair, made)).status).toBe(status)
      expect(refreshesSeen(pair)).toBe(sent)
    },
  )

  test('may become wrong while it runs', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    await revokeAt(pair, made, 'refresh')
    pair.account.setSwitches({ notices: 'never' })
    expect((await accounts(pair, made)).status).toBe(200)
  })
})
