import { describe, expect, test } from 'vitest'
import type { DrillRules } from '../../../src/connections/drill/context.ts'
import type { SeenCall, SeenProbe } from '../../../src/connections/drill/look.ts'
import {
  hygieneStep,
  newStep,
  oldStep,
  recoveryStep,
} from '../../../src/connections/drill/steps/after.ts'
import {
  baselineStep,
  controlStep,
  snapshotStep,
} from '../../../src/connections/drill/steps/before.ts'
import {
  detectionStep,
  noticeStep,
  stormStep,
} from '../../../src/connections/drill/steps/notice.ts'
import { linkStep } from '../../../src/connections/drill/steps/reconnect.ts'
import { proofStep, revokeStep, tokensAt } from '../../../src/connections/drill/steps/revoke.ts'
import { Secret } from '../../../src/core/secret.ts'
import { salesforceConnection } from '../../../src/providers/salesforce/connection-way.ts'
import { LIMITS } from './world.ts'

const rules = (
  depth: DrillRules['depth'] = 'refresh',
  traits: Partial<DrillRules['traits']> = {},
): DrillRules => ({
  depth,
  limits: LIMITS,
  traits: { ...salesforceConnection.traits, ...traits },
  habits: {
    ...{
      tagCommand: null,
      refreshAttemptsMax: 1,
      refreshesOfCheck: 0,
      signsNotices: true,
      tellsHealing: true,
    },
    ...{ deathNotices: ['needs_reauth'], usesPkce: true, tellsCause: true },
  },
  ...{ consentHosts: ['org.example'], clientId: 'client', redirectUri: 'https://us/callback' },
})
const call: SeenCall = {
  ok: true,
  status: 200,
  identity: 'o/u',
  providerRefused: false,
  cause: null,
  requestId: null,
  ms: 1,
}
const refused: SeenCall = {
  ...call,
  ok: false,
  status: 401,
  identity: null,
  providerRefused: true,
  cause: 'revoked_or_expired',
}
const alive: SeenProbe = { verdict: 'alive', status: 200, code: null, identity: 'o/u', ms: 1 }
const dead: SeenProbe = {
  verdict: 'dead',
  status: 401,
  code: 'invalid_token',
  identity: null,
  ms: 1,
}
const none = { platform: null, provider: null }

const snapshot = {
  ...{ id: 'con_1', state: 'connected', access: 'fp_a', refresh: 'fp_r', identity: 'o/u' },
  ...{ stored: { access: 'fp_a', refresh: 'fp_r' }, scopes: [], facts: {}, others: 0 },
  ...{ liveTokens: 1, clockOffsetMs: 400 },
}
const link = {
  ...{ host: 'org.example', path: '/authorize', clientId: 'client', secrets: [] },
  ...{ redirectUri: 'https://us/callback', state: 'fp_s', stateIsOurs: true, pkce: true },
}
const detection = {
  ...{ calls: 1, last: refused, state: 'reconnect_needed', cause: null, accessChanged: false },
  ...{ refreshes: { platform: 1, provider: 1 }, detectMs: 10, falseHealthyMs: 10 },
  ...{ refusedMs: 4, resumed: null, refreshesSince: null },
}
const healing = { ...detection, last: call, state: 'connected', accessChanged: true }
const notice = {
  id: 'n1',
  at: 1,
  kind: 'needs_reauth',
  signatureGood: true,
  cause: 'revoked_or_expired',
} as const
const told = {
  receiver: 'kept',
  state: 'reconnect_needed',
  healed: false,
  notices: [notice],
  notifyMs: 5,
  duplicates: 0,
  resumed: null,
} as const

/** Of a drill that goes on after a process of it died. */
const resumed = { at: 1, isUnjudged: true, unrecoveredAt: 1, inDetection: true, gaveUp: false }
const goneOn = { resumed, refreshesSince: { platform: 1, provider: 1 } }

const held = { id: 'con_1', state: 'connected', scopes: [], facts: {} }
const renewed = {
  before: { ...held, access: 'fp_a', refresh: 'fp_r', identity: 'o/u' },
  after: { ...held, access: 'fp_b', refresh: 'fp_s', identity: 'o/u' },
  enabled: 'not_needed',
  platform: call,
  direct: alive,
  refreshed: [{ call, accessChanged: true, persisted: true }],
}
const recovered = {
  ...{
    calls: 5,
    failed: 0,
    healedNotices: 1,
    ...{ healedMost: 1, workedMs: 1 },
    recoverMs: 1,
    gap: { from: 1, to: 2 },
  },
  deaths: { notices: 1, most: 1, lastMs: 1 },
}

describe('judges, by hand-made evidence', () => {
  test.each([
    [
      '12 as it should be',
      newStep.judge(renewed, rules()),
      'pass',
      /same connection and identity,/,
    ],
    [
      '12 an identity that nobody says after it',
      newStep.judge(
        {
          ...renewed,
          after: { ...renewed.after, identity: null },
          direct: { ...alive, identity: null },
        },
        rules(),
      ),
      'pass',
      /same connection, with new tokens; .* Whose grant came back, nobody could say/,
    ],
    [
      '12 fewer scopes',
      newStep.judge(
        {
          ...renewed,
          before: { ...renewed.before, scopes: ['api', 'id'] },
          after: { ...renewed.after, scopes: ['api', 'web'] },
        },
        rules(),
      ),
      'fail',
      /Scopes were lost: id\./,
    ],
    [
      '12 scopes that give no access are not named by every answer',
      newStep.judge(
        { ...renewed, before: { ...renewed.before, scopes: ['openid', 'offline_access'] } },
        rules(),
      ),
      'pass',
      /same connection and identity,/,
    ],
    ['0 as it should be', snapshotStep.judge(snapshot, rules()), 'pass', /Connected/],
    [
      '0 degraded',
      snapshotStep.judge({ ...snapshot, state: 'degraded' }, rules()),
      'fail',
      /degraded before/,
    ],
    [
      '0 no refresh token',
      snapshotStep.judge({ ...snapshot, refresh: null }, rules()),
      'fail',
      /no refresh token/,
    ],
    [
      '0 a clock an hour off',
      snapshotStep.judge({ ...snapshot, clockOffsetMs: -3_600_000 }, rules()),
      'fail',
      /60 minutes/,
    ],
    [
      '0 a platform that lies',
      snapshotStep.judge({ ...snapshot, stored: { access: 'fp_x', refresh: null } }, rules()),
      'fail',
      /another access token/,
    ],
    [
      '1 somebody else’s token',
      baselineStep.judge(
        {
          identity: 'o/u',
          platform: call,
          direct: { ...alive, identity: 'o/v' },
          refreshed: false,
        },
        rules(),
      ),
      'fail',
      /somebody else/,
    ],
    [
      '2 our credentials',
      controlStep.judge({ platform: false, provider: { ok: true, status: 200 } }, rules()),
      'fail',
      /our own credentials/,
    ],
    [
      '3 no answer',
      revokeStep.judge(
        {
          at: 1,
          ...{ inDoubt: false, isPast: false },
          effect: 'unknown',
          again: null,
          answers: [
            {
              token: 'refresh',
              revoked: 'unknown',
              alreadyDead: false,
              status: null,
              code: 'http_timeout',
            },
          ],
        },
        rules(),
      ),
      'fail',
      /did not say/,
    ],
    [
      '3 in doubt, and dead',
      revokeStep.judge(
        {
          at: 1,
          ...{ inDoubt: true, isPast: false },
          effect: 'yes',
          again: null,
          answers: [
            {
              token: 'refresh',
              revoked: 'yes',
              alreadyDead: true,
              status: 400,
              code: 'invalid_token',
            },
          ],
        },
        rules(),
      ),
      'pass',
      /Revoked/,
    ],
    [
      '4 still alive',
      proofStep.judge({ ...alive, expected: 'dead', afterMs: 9 }, rules()),
      'fail',
      /not refused, 9 ms/,
    ],
    [
      '4 alive, as documented',
      proofStep.judge({ ...alive, expected: 'alive', afterMs: 9 }, rules()),
      'pass',
      /lives on/,
    ],
    [
      '4 an outage is no death',
      proofStep.judge(
        { ...dead, verdict: 'unclear', status: 503, expected: 'dead', afterMs: 9 },
        rules(),
      ),
      'fail',
      /not refused/,
    ],
    [
      '5 noticed',
      detectionStep.judge(detection, rules()),
      'pass',
      /A call was refused after 4 ms; the platform says reconnect_needed after 10 ms\./,
    ],
    [
      '5 the platform blames itself',
      detectionStep.judge(
        { ...detection, last: { ...refused, providerRefused: false, cause: 'our_client_refused' } },
        rules(),
      ),
      'fail',
      /does not say that the provider refused/,
    ],
    [
      '5 the wrong cause',
      detectionStep.judge({ ...detection, last: { ...refused, cause: 'network' } }, rules()),
      'fail',
      /wrong cause/,
    ],
    [
      '5 said to be well for too long after its death',
      detectionStep.judge({ ...detection, falseHealthyMs: LIMITS.falseHealthyMs + 1 }, rules()),
      'fail',
      /to say that it is not well, and at most/,
    ],
    ['5 healed', detectionStep.judge(healing, rules('access')), 'pass', /one refresh/],
    [
      '5 healed with two',
      detectionStep.judge({ ...healing, refreshes: { platform: 1, provider: 2 } }, rules('access')),
      'fail',
      /2 refreshes/,
    ],
    [
      '5 asks for what heals',
      detectionStep.judge({ ...healing, state: 'reconnect_needed' }, rules('access')),
      'fail',
      /a refresh would do/,
    ],
    [
      '6 nobody counts',
      stormStep.judge(
        {
          calls: 9,
          ok: 0,
          forMs: 9,
          refreshes: none,
          othersCalled: 0,
          brokenOthers: [],
          ...{ resumed: null, refreshesSince: null },
        },
        rules(),
      ),
      'pass',
      /not counted/,
    ],
    [
      '6 others broke',
      stormStep.judge(
        {
          calls: 9,
          ok: 0,
          forMs: 9,
          refreshes: none,
          othersCalled: 0,
          brokenOthers: ['con_2'],
          ...{ resumed: null, refreshesSince: null },
        },
        rules(),
      ),
      'fail',
      /con_2/,
    ],
    [
      '7 in the history, and no webhook came',
      noticeStep.judge({ ...told, notices: [{ ...notice, signatureGood: null }] }, rules()),
      'fail',
      /no webhook of it came/,
    ],
    [
      '7 in the history, and nobody receives',
      noticeStep.judge(
        { ...told, receiver: 'none', notices: [{ ...notice, signatureGood: null }] },
        rules(),
      ),
      'skipped',
      /receives webhooks/,
    ],
    [
      '7 in the history, and the process died that received',
      noticeStep.judge(
        { ...told, receiver: 'lost', notices: [{ ...notice, signatureGood: null }] },
        rules(),
      ),
      'skipped',
      /went to the process that died/,
    ],
    ...(
      [
        ['with one in all', 1, 1, 1, 'pass', /within 10 ms, with one refresh\.$/],
        [
          'with another of the time when it was dead',
          3,
          1,
          3,
          'skipped',
          /3 refreshes came, .* cannot be told/,
        ],
        ['with two since', 2, 2, 2, 'fail', /It took 2 refreshes, and exactly one/],
        ['with none', 0, 0, 0, 'skipped', /no refresh was counted/],
        ['and nobody counts what the dead process sent', 0, 0, null, 'skipped', /are not counted/],
      ] as const
    ).map(([title, platform, since, provider, verdict, why]) => {
      const refreshes = { platform, provider }
      const refreshesSince = { platform: since, provider: provider === null ? null : since }
      const seen = { ...healing, resumed, refreshes, refreshesSince }
      const judged = detectionStep.judge(seen, rules('access'))
      return [`5 healed after a process died: ${title}`, judged, verdict, why] as const
    }),
    [
      '5 healed, and nobody counts',
      detectionStep.judge({ ...healing, refreshes: none }, rules('access')),
      'pass',
      /within 10 ms; its refreshes are not counted\.$/,
    ],
    [
      '5 healed with none',
      detectionStep.judge({ ...healing, refreshes: { platform: 0, provider: 0 } }, rules('access')),
      'fail',
      /It took 0 refreshes/,
    ],
    ...(
      [
        [
          'its rotated token is lost',
          true,
          'may',
          'skipped',
          /went with the process that died, or was lost since/,
        ],
        ['before it looked', false, 'may', 'fail', /does not say that the provider refused/],
        ['and no token rotates', true, 'never', 'fail', /does not say that the provider refused/],
      ] as const
    ).map(([title, inDetection, rotation, verdict, why]) => {
      const cause = 'rotated_token_lost'
      const last = { ...refused, providerRefused: false, cause }
      const after = { ...goneOn, resumed: { ...resumed, inDetection } }
      const seen = { ...detection, ...after, last, cause }
      const judged = detectionStep.judge(seen, rules('refresh', { rotation }))
      return [`5 in a process after one that died: ${title}`, judged, verdict, why] as const
    }),
    ...(
      [
        ['without a death', null, 'fail', /does not say that the provider refused/],
        [
          'after the drill was gone on with',
          false,
          'fail',
          /does not say that the provider refused/,
        ],
        [
          'while the drill was dead',
          true,
          'skipped',
          /had given the connection up before .* nobody saw/,
        ],
      ] as const
    ).map(([title, gaveUp, verdict, why]) => {
      const last = { ...refused, status: 403, providerRefused: false }
      const after = gaveUp === null ? {} : { ...goneOn, resumed: { ...resumed, gaveUp } }
      const seen = { ...detection, ...after, last, state: 'disabled' }
      return [`5 disabled ${title}`, detectionStep.judge(seen, rules()), verdict, why] as const
    }),
    ...(
      [
        ['without a death', {}, 'fail', /It took 1 min/],
        ['while the drill was dead', goneOn, 'skipped', /It took 1 min .* it cannot be judged/],
        [
          'after a death that came later',
          { ...goneOn, resumed: { ...resumed, isUnjudged: false } },
          'fail',
          /It took 1 min/,
        ],
      ] as const
    ).flatMap(([title, after, verdict, why]) => [
      [
        `5 noticed late ${title}`,
        detectionStep.judge({ ...detection, ...after, detectMs: 60_000 }, rules()),
        verdict,
        why,
      ] as const,
      [
        `7 told late ${title}`,
        noticeStep.judge({ ...told, ...after, notifyMs: 60_000 }, rules()),
        verdict,
        why,
      ] as const,
    ]),
    ['7 told once', noticeStep.judge(told, rules()), 'pass', /One notice/],
    [
      '7 told twice',
      noticeStep.judge({ ...told, notices: [notice, { ...notice, id: 'n2' }] }, rules()),
      'fail',
      /2 notices/,
    ],
    [
      '7 the wrong cause',
      noticeStep.judge({ ...told, notices: [{ ...notice, cause: 'network' }] }, rules()),
      'fail',
      /wrong cause: network/,
    ],
    [
      '7 told of what healed',
      noticeStep.judge({ ...told, state: 'connected', healed: true }, rules('access')),
      'fail',
      /healed by itself/,
    ],
    [
      '8 another host',
      linkStep.judge({ ...link, host: 'evil.example' }, rules()),
      'fail',
      /evil\.example/,
    ],
    [
      '8 another callback',
      linkStep.judge({ ...link, redirectUri: 'https://them' }, rules()),
      'fail',
      /another callback/,
    ],
    ['8 no PKCE', linkStep.judge({ ...link, pkce: false }, rules()), 'fail', /PKCE/],
    [
      '13 alive again',
      oldStep.judge({ access: alive, refresh: null, whyNotRefresh: 'x' }, rules()),
      'fail',
      /is not refused/,
    ],
    ...(
      [
        ['alive, and nothing else presented', alive, null, 'skipped', /may live on, .* x$/],
        ['ended meanwhile', dead, null, 'pass', /access token is still refused/],
        ['alive, its refresh token refused', alive, 'invalid_grant', 'pass', /refresh token is st/],
        ['alive, its refresh token taken', alive, 'tokens', 'fail', /still gives tokens/],
      ] as const
    ).map(([title, access, refresh, verdict, why]) => {
      const seen = { access, refresh, whyNotRefresh: refresh === null ? 'x' : null }
      const judged = oldStep.judge(seen, rules('refresh', { revokeRefresh: 'token' }))
      return [
        `13 an access token that outlives its refresh token: ${title}`,
        judged,
        verdict,
        why,
      ] as const
    }),
    [
      '13 documented for another depth',
      oldStep.judge(
        { access: alive, refresh: null, whyNotRefresh: 'x' },
        rules('grant', { revokeRefresh: 'token' }),
      ),
      'fail',
      /is not refused/,
    ],
    [
      '13 the old refresh token works',
      oldStep.judge({ access: dead, refresh: 'tokens', whyNotRefresh: null }, rules()),
      'fail',
      /still gives tokens/,
    ],
    [
      '14 healed, told twice',
      recoveryStep.judge({ ...recovered, healedNotices: 2 }, rules()),
      'fail',
      /2 notices of one healing/,
    ],
    ...(
      [
        ['without a death', 1_800_000, 'fail', /^It took 30 min to recover/],
        ['while the drill was dead', 9, 'skipped', /^It took 30 min .* it cannot be judged/],
      ] as const
    ).map(([title, workedMs, verdict, why]) => {
      const seen = { ...recovered, recoverMs: 1_800_000, workedMs }
      return [`14 back late ${title}`, recoveryStep.judge(seen, rules()), verdict, why] as const
    }),
    [
      '14 healed, told once for each time that it came back',
      recoveryStep.judge({ ...recovered, healedNotices: 2, healedMost: 2 }, rules()),
      'pass',
      /Well again/,
    ],
    ...(
      [
        [
          'told again',
          'refresh',
          { notices: 2, most: 1, lastMs: 9_000 },
          'fail',
          /^2 notices of one death came, the last 9 s after the revocation\./,
        ],
        [
          'told again, as step 7 has judged',
          'refresh',
          { notices: 2, most: 2, lastMs: 9 },
          'pass',
          /Well again/,
        ],
        [
          'told again, and somebody else was at it',
          'refresh',
          { notices: 2, most: null, lastMs: 9 },
          'skipped',
          /^All calls go well\. How often .* is not judged/,
        ],
        [
          'told of what healed',
          'access',
          { notices: 1, most: 0, lastMs: 9_000 },
          'fail',
          /^Somebody was told of a death, 9 s after/,
        ],
      ] as const
    ).map(([title, depth, deaths, verdict, why]) => {
      const judged = recoveryStep.judge({ ...recovered, deaths }, rules(depth))
      return [`14 ${title}`, judged, verdict, why] as const
    }),
    [
      '15 nobody counts',
      hygieneStep.judge({ before: null, after: 1, grants: null, isResumed: false }, rules()),
      'skipped',
      /cannot say/,
    ],
    [
      '15 one more',
      hygieneStep.judge({ before: 1, after: 2, grants: null, isResumed: false }, rules()),
      'fail',
      /left some behind/,
    ],
    [
      '15 one fewer',
      hygieneStep.judge({ before: 2, after: 1, grants: null, isResumed: false }, rules()),
      'fail',
      /one is gone that should live/,
    ],
    [
      '15 as many, and one of them another',
      hygieneStep.judge(
        { before: 2, after: 2, grants: { revoked: 0, left: 0, gone: 1 }, isResumed: false },
        rules(),
      ),
      'fail',
      /1 of those before is gone/,
    ],
    [
      '15 one that began meanwhile',
      hygieneStep.judge(
        { before: 2, after: 3, grants: { revoked: 0, left: 1, gone: 0 }, isResumed: false },
        rules(),
      ),
      'fail',
      /left alone/,
    ],
    ...(
      [
        [
          'one more',
          { before: 1, after: 2, grants: null },
          /left some behind\. The drill was dead for a while/,
        ],
        [
          'one fewer',
          { before: 2, after: 1, grants: null },
          /one is gone that should live\. The drill was dead/,
        ],
        [
          'one that began meanwhile',
          { before: 2, after: 3, grants: { revoked: 0, left: 1, gone: 0 } },
          /left alone\. .* whose doing that is cannot be told/,
        ],
      ] as const
    ).map(([title, seen, why]) => {
      const judged = hygieneStep.judge({ ...seen, isResumed: true }, rules())
      return [`15 after a process died: ${title}`, judged, 'skipped', why] as const
    }),
    [
      '15 what was lost is revoked',
      hygieneStep.judge(
        { before: 2, after: 2, grants: { revoked: 1, left: 0, gone: 0 }, isResumed: false },
        rules(),
      ),
      'pass',
      /1 that a code of the drill’s had brought, and nobody holds, was revoked/,
    ],
  ] as const)('%s', (_name, judgement, verdict, why) => {
    expect(judgement).toEqual({ verdict, why: expect.stringMatching(why) })
  })

  test('each depth revokes its own tokens', () => {
    const held = { access: new Secret('a'), refresh: new Secret('r') }
    const kinds = (depth: DrillRules['depth']) => tokensAt(depth, held).map(({ kind }) => kind)
    expect([kinds('access'), kinds('refresh'), kinds('grant')]).toEqual([
      ['access'],
      ['refresh'],
      ['refresh', 'access'],
    ])
  })
})
