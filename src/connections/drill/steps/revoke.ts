import { formatDuration } from '../../../core/moments.ts'
import type { HeldToken, RevokeAnswer } from '../../../providers/connection-way.ts'
import type { DrillContext, DrillMemory, DrillRules } from '../context.ts'
import { holdsAnotherRefreshToken } from '../live-grants.ts'
import { callThrough, isBackNow, probeDirectly, type SeenProbe, until } from '../look.ts'
import type { Depth, HeldTokens } from '../platform.ts'
import { fail, failFirst, pass, type StepOf } from '../step.ts'

/** Beyond what the vendor documents: caches of its own and the way there and back. */
const RESIDUAL_SLACK_MS = 5_000
const LOOK_MS = 200

export interface SeenRevoke {
  readonly at: number
  /** The drill died in this step before, and may have revoked then. */
  readonly inDoubt: boolean
  /** The platform holds another grant's tokens since, or others of the same, which work: nothing was sent. */
  readonly isPast: boolean
  readonly answers: readonly SeenRevokeAnswer[]
  readonly effect: NonNullable<DrillMemory['effect']>
  /** The first token once more, where the provider refuses that: a free proof of death. */
  readonly again: SeenRevokeAnswer | null
}

export interface SeenRevokeAnswer {
  readonly token: 'access' | 'refresh'
  readonly revoked: RevokeAnswer['revoked']
  readonly alreadyDead: boolean
  readonly status: number | null
  readonly code: string
}

/** Step 3: the death, on purpose. */
export const revokeStep: StepOf<SeenRevoke> = {
  no: 3,
  name: 'Revoke',
  act: 'Revoke at the provider, at the depth of the drill.',
  passOnlyIf: 'The provider says yes; a second revocation is refused where the provider does so.',
  async ask(context) {
    const { clock, memory, secrets } = context
    if (secrets.old === null) throw new Error('nothing was read that could be revoked')
    // The moment is on the disk before the call: a drill that dies here knows that it may have acted.
    const inDoubt = memory.revokedAt !== null
    memory.revokedAt ??= clock.now()
    context.save()
    // A spent token is taken for revoked where the provider does not say so (RFC 7009, section 2.2): it is not sent.
    const isPast = inDoubt && (await isPastRevoking(context))
    memory.revocationPast = isPast || undefined
    const tokens = isPast ? [] : tokensAt(context.rules.depth, secrets.old)
    const answers: SeenRevokeAnswer[] = []
    for (const token of tokens) answers.push(await revoke(context, token))
    const first = tokens[0]
    const isRefused = context.rules.traits.revokesTwice === 'refused' && first !== undefined
    const again = isRefused ? await revoke(context, first) : null
    const effect = isPast ? 'unknown' : await effectOf(context, { answers, inDoubt })
    memory.effect = effect
    return { at: memory.revokedAt, inDoubt, isPast, answers, effect, again }
  },
  judge({ answers, again, inDoubt, isPast }) {
    if (isPast) return fail(PAST_REVOKING)
    const unsaid = answers.find(({ revoked, alreadyDead }) => revoked !== 'yes' && !alreadyDead)
    return failFirst(
      [
        !inDoubt &&
          answers[0]?.alreadyDead &&
          `The ${answers[0].token} token that the platform holds was dead already: it holds another than the provider gave.`,
        unsaid !== undefined &&
          `The provider did not say that the ${unsaid.token} token is revoked (${unsaid.code}).`,
        again !== null &&
          !again.alreadyDead &&
          'The provider took a second revocation, and documents that it refuses one.',
      ],
      `Revoked by the provider: ${answers.map(({ token }) => `the ${token} token`).join(' and ')}.`,
    )
  },
}

/** The reason of a drill that died in this step, and whose connection went on without it. */
export const PAST_REVOKING =
  'Whether anything was revoked cannot be told: the drill died in this step, and the platform holds other tokens since, which work. Nothing more was revoked: begin a new drill.'

/** Whether the grant is another one by now, or its tokens are: one of access alone renews them at any time. */
async function isPastRevoking(context: DrillContext): Promise<boolean> {
  if (context.rules.depth === 'access') return false
  return (await holdsAnotherRefreshToken(context)) && (await isBackNow(context))
}

/**
 * Says what the provider made of it. That it had no effect has to be shown: nothing was sent, or all was
 * refused and the platform can still refresh, which is no replay where the platform does it.
 */
async function effectOf(
  context: DrillContext,
  { answers, inDoubt }: Pick<SeenRevoke, 'answers' | 'inDoubt'>,
): Promise<SeenRevoke['effect']> {
  if (answers.some(({ revoked }) => revoked === 'yes')) return 'yes'
  if (answers.some(({ revoked }) => revoked === 'unknown')) return 'unknown'
  if (!inDoubt && answers.every(({ status }) => status === null)) return 'no'
  const { ok } = await callThrough(context, (on) => context.platform.forceRefresh(on))
  return ok ? 'no' : 'unknown'
}

/** What is revoked at each depth. The whole grant: its refresh token, and what may outlive that. */
export function tokensAt(depth: Depth, { access, refresh }: HeldTokens): readonly HeldToken[] {
  const accessToken = { kind: 'access', token: access } as const
  const refreshTokens = refresh === null ? [] : [{ kind: 'refresh', token: refresh } as const]
  switch (depth) {
    case 'access':
      return [accessToken]
    case 'refresh':
      return refreshTokens
    case 'grant':
      return [...refreshTokens, accessToken]
  }
}

async function revoke({ direct }: DrillContext, token: HeldToken): Promise<SeenRevokeAnswer> {
  const { revoked, alreadyDead, status, code } = await direct.way.revoke(
    direct.app,
    token,
    direct.means,
  )
  return { token: token.kind, revoked, alreadyDead, status, code }
}

export interface SeenProof extends SeenProbe {
  readonly expected: 'dead' | 'alive'
  readonly afterMs: number
}

/** What the provider documents of the old access token, once the drill has revoked. */
export function expectedOf({ depth, traits }: DrillRules): SeenProof['expected'] {
  return depth === 'refresh' && traits.revokeRefresh === 'token' ? 'alive' : 'dead'
}

/** Step 4: the provider's own word, not the platform's. */
export const proofStep: StepOf<SeenProof> = {
  no: 4,
  name: 'Proof at provider',
  act: 'Present the old access token to the provider, directly.',
  passOnlyIf: 'It is refused within what the provider documents.',
  async ask(context) {
    const { clock, memory, rules } = context
    const expected = expectedOf(rules)
    const ms = expected === 'dead' ? rules.traits.residualMs + RESIDUAL_SLACK_MS : 0
    const probe = await until(
      context,
      { ms, everyMs: LOOK_MS },
      () => probeDirectly(context),
      ({ verdict }) => verdict === expected,
    )
    if (probe.verdict === 'dead') memory.deadAt = clock.now()
    // What was not to outlive its grant does: then only a refresh shows that the grant is dead.
    const isLeft = rules.depth !== 'access' && probe.verdict === 'alive'
    memory.accessSurvives = expected === 'alive' || isLeft
    return { ...probe, expected, afterMs: clock.now() - (memory.revokedAt ?? clock.now()) }
  },
  judge({ verdict, expected, status, code, afterMs }) {
    if (verdict === expected) {
      return pass(
        expected === 'dead'
          ? `The provider refuses the old access token (${code ?? status}), ${formatDuration(afterMs)} after.`
          : 'The access token lives on, as the provider documents for this depth.',
      )
    }
    return fail(
      expected === 'dead'
        ? `The old access token is not refused, ${formatDuration(afterMs)} after its revocation (${code ?? status}).`
        : `The access token is dead (${code ?? status}), where the provider documents that it lives on.`,
    )
  },
}
