import { randomBytes } from 'node:crypto'
import { isRescindError, RescindError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import type { Identity } from '../../providers/connection-way.ts'
import type { GrantOwners } from '../../store/grant-owners.ts'
import { type Budget, budgetText, countText, evictsOldest } from '../budget.ts'
import type { Callback, ReconnectLink } from '../drill/platform.ts'
import {
  compareGrants,
  describeChange,
  type GrantChange,
  type GrantFacts,
} from '../grant-change.ts'
import { isSameIdentity } from '../renew.ts'
import { applyCode, firstRoute, nextRoute, type Route } from './apply-code.ts'
import { type BudgetMeans, countByOwn, countGrants } from './budget.ts'
import { type OpenConnectorsClient, orThrow } from './client.ts'
import { codeIn } from './consent.ts'
import { diagnose } from './diagnose.ts'
import { findHolders } from './holders.ts'
import { type Instance, identityOf, scopesOf, tokensOf } from './instance.ts'
import { appOf } from './requests.ts'
import { grantsApart, type RevokedToken, revokeAtProvider } from './revoke-at-provider.ts'
import type { OpenConnectorsMeans } from './traced-send.ts'

/** 256 bits: nobody guesses the state of a login that is under way. */
const STATE_BYTES = 32
/** A revocation is seen at once, as a rule; past this the grant is alive after all. */
const DEATH_MS_MAX = 30_000
const LOOK_MS = 1_000

/** The path of the article, in its order. */
export const REAUTHORIZE_STEPS = [
  'instance',
  'header',
  'token',
  'revoke',
  'dead',
  'budget',
  'link',
  'consent',
  'enable',
  'apply',
  'alive',
] as const
export type ReauthorizeStep = (typeof REAUTHORIZE_STEPS)[number]

export interface ReauthorizeWish {
  readonly instance: number
  /** Revokes first, to rehearse; null when the grant is dead already. */
  readonly revoke: RevokedToken | null
  /** Who it must be for, where the instance itself shows somebody else since a wrong grant. */
  readonly identity?: Identity | null | undefined
  /** Changes that are taken; every other one disables the instance. */
  readonly accept: readonly GrantChange[]
  /** Brings the owner to the link, and what came back from there. */
  consent(link: ReconnectLink): Promise<Callback>
  /** Is told of each step, in words without secrets. */
  step(name: ReauthorizeStep, text: string): void
  /** Is told where the new grant ends another one, or may, before it is asked for; and of a former one that may live. */
  warn?(text: string): void
}

/** A re-authentication that worked. */
export interface Reauthorized {
  readonly instance: number
  readonly route: Route
  readonly wasDisabled: boolean
  readonly changes: readonly GrantChange[]
  /** Before the new grant; null where nobody says how many live. */
  readonly budget: Budget | null
  /** Null where the platform does not show whose the grant is: then nobody was compared. */
  readonly sameIdentity: boolean | null
  /** No page says that these two stay. */
  readonly idKept: boolean
  readonly elementTokenKept: boolean
  readonly refreshTokenChanged: boolean
}

/** The new grant is somebody else's, or of fewer scopes: the instance was disabled. */
export class ChangedGrant extends RescindError {
  readonly changes: readonly GrantChange[]

  constructor(message: string, changes: readonly GrantChange[]) {
    super('reconnect_refused', message)
    this.changes = changes
  }
}

export interface ReauthorizeMeans extends OpenConnectorsMeans, BudgetMeans {
  /** Remembers the right person from before a new grant is applied until it is found to be theirs. */
  readonly owners?: GrantOwners | undefined
}

/**
 * Re-authenticates an instance by API, the whole way of the vendor's article: instance, header, token,
 * revoke, dead, link, consent, code, PATCH (or PUT with a fresh code), alive.
 *
 * @throws RescindError `usage` where it is to revoke what somebody else lives on, `reconnect_refused`,
 * `reconnect_failed`, `secret_masked`, and what the calls throw
 * @see https://docs.cloud-elements.com/home/how-can-you-test-revoking-a-salesforce-oauth-token-and-re-authenticating-your-instances-through-api
 */
export async function reauthorizeInstance(
  asked: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<Reauthorized> {
  const { client, signal } = means
  const found = orThrow(await client.get(asked.instance, signal), 'show the instance')
  const right = await rightGrant(found, asked, means)
  const wish = { ...asked, identity: right.identity }
  tellInstance(found, wish, means)
  if (wish.revoke === 'refresh') await checkSole(found, wish, means)
  const former = wish.revoke === null ? null : await countByOwn(found, wish.identity, means)
  const lives = await killAndLook(found, wish, means)
  const counted = await countGrants(found, wish.identity, lives, means).catch((error) => {
    // A count that cannot be had warns of nothing.
    if (isRescindError(error)) return null
    throw error
  })
  const budget = sinceRevoked(counted, former, lives)
  wish.step('budget', budget ? `${countText(budget)} live` : 'not known')
  if (budget && evictsOldest(budget) !== false) wish.warn?.(budgetText(budget))
  const consented = await askCode(found, wish, means)
  await remember(found.id, right, means)
  const applied = await applyOrAgain(consented, wish, means)
  // Also where it is thought to be dead: a disabled instance says nothing of its grant.
  if (wish.revoke !== 'refresh') {
    // A first try that failed may have blanked its tokens.
    const former = tokensOf(applied.before).refresh ? applied.before : found
    await endFormer(former, applied.instance, { ...wish, lives }, means)
  }
  const wasDisabled = [consented.before, applied.before].some(({ disabled }) => disabled === true)
  // Whether a new code lifts the lock is not documented: it is looked at.
  await enableIfNeeded(applied.instance, wish, means)
  const changes = await checkGrant(right, applied.instance, wish, means)
  await means.owners?.forget(client.settings.url, found.id)
  await confirmAlive(applied.instance, means, (text) => wish.step('alive', text))
  const [was, is] = [tokensOf(found), tokensOf(applied.instance)]
  const isCompared = wish.identity !== null && identityOf(applied.instance) !== null
  return {
    ...{ instance: applied.instance.id, route: applied.route, wasDisabled, changes, budget },
    sameIdentity: isCompared ? !changes.some((change) => change !== 'fewer_scopes') : null,
    idKept: found.id === applied.instance.id,
    elementTokenKept: found.token?.reveal() === applied.instance.token?.reveal(),
    refreshTokenChanged: was.refresh?.reveal() !== is.refresh?.reveal(),
  }
}

/** Who was revoked may have been the only one who could ask: what it was told before is taken then. */
function sinceRevoked(now: Budget | null, former: number | null, lives: boolean): Budget | null {
  if (now === null || now.complete || former === null) return now
  return { ...now, live: Math.max(now.live, former - (lives ? 0 : 1)), complete: true }
}

function factsOf(instance: Instance): GrantFacts {
  return { identity: identityOf(instance), scopes: scopesOf(instance) }
}

/** Since a wrong grant the instance itself shows somebody else, or fewer scopes: what was right before it counts. */
async function rightGrant(
  found: Instance,
  { identity: named, step }: ReauthorizeWish,
  { owners, client }: ReauthorizeMeans,
): Promise<GrantFacts> {
  const shown = factsOf(found)
  const text = await owners?.read(client.settings.url, found.id)
  if (!text) return { ...shown, identity: named ?? shown.identity }
  const { owner, scopes = shown.scopes } = remembered(text)
  if (named) return { identity: named, scopes }
  if (shown.identity !== null && !isSameIdentity(shown.identity, owner)) {
    step(
      'instance',
      `shows ${idsOf(shown.identity)} since a wrong grant; the right owner is ${idsOf(owner)}`,
    )
  }
  return { identity: owner, scopes }
}

/** Those of a store of old have no scopes. */
function remembered(text: string) {
  const { scopes, ...owner } = JSON.parse(text) as Identity & Partial<GrantFacts>
  return { owner, scopes }
}

/** Forgets who is right where an instance, however it came to its grant, is theirs again. */
export async function forgetIfRight(
  instance: Instance,
  { owners, client }: Pick<ReauthorizeMeans, 'owners' | 'client'>,
): Promise<void> {
  const text = await owners?.read(client.settings.url, instance.id)
  if (!text) return
  const { owner, scopes = [] } = remembered(text)
  if (compareGrants({ identity: owner, scopes }, factsOf(instance)).length > 0) return
  await owners?.forget(client.settings.url, instance.id)
}

async function remember(
  instance: number,
  { identity, scopes }: GrantFacts,
  { owners, client }: ReauthorizeMeans,
): Promise<void> {
  if (identity === null) return
  await owners?.write(client.settings.url, instance, JSON.stringify({ ...identity, scopes }))
}

function idsOf({ org, user }: Identity): string {
  return `${org}/${user}`
}

/** Makes the link at which the owner of an instance consents, with a one-time state of its own. */
export async function linkFor(
  client: OpenConnectorsClient,
  element: string,
  signal?: AbortSignal,
): Promise<ReconnectLink> {
  const state = new Secret(randomBytes(STATE_BYTES).toString('base64url'))
  const url = orThrow(await client.consentUrl(element, state, signal), 'give a consent URL')
  return { url, state, redirectUri: client.settings.callbackUrl }
}

/** Says where a link leads, without what is secret in it. */
export function linkText({ url, redirectUri }: ReconnectLink): string {
  return `at ${new URL(url).host}, back to ${redirectUri}, with a state of ours`
}

function tellInstance(found: Instance, wish: ReauthorizeWish, means: ReauthorizeMeans): void {
  const { switches } = means.client.settings
  const { access, refresh } = tokensOf(found)
  const shown = (token: Secret | null) => (token === null ? 'none' : means.fingerprint(token))
  const state = found.disabled ? 'disabled' : 'enabled'
  wish.step('instance', `${found.id} of ${found.elementKey ?? 'an unknown element'}, ${state}`)
  const isShort = switches.elementHeader === 'user-element'
  wish.step('header', `Authorization: User …, ${isShort ? '' : 'Organization …, '}Element …`)
  wish.step('token', `access token ${shown(access)}, refresh token ${shown(refresh)}`)
}

/** A grant is not ended under somebody else who lives on it. */
async function checkSole(
  instance: Instance,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<void> {
  const { names, unseen } = await findHolders(instance, means)
  if (names.length === 0) return unseen === null ? undefined : wish.warn?.(MAY_BE_HELD)
  throw new RescindError(
    'usage',
    `Another instance or a connection of ours lives on the grant of instance ${instance.id}, and would die with it. Nothing was revoked: run this without --revoke.`,
  )
}

/** Returns whether the grant may still live. */
async function killAndLook(
  instance: Instance,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<boolean> {
  const { client, clock, signal } = means
  const { probePath } = appOf(client.settings, instance.elementKey)
  if (wish.revoke !== null) {
    const done = await revokeAtProvider(instance, wish.revoke, client.settings, means)
    wish.step('revoke', `the ${wish.revoke} token, at ${done.url}: ${done.status}`)
  } else wish.step('revoke', 'nothing: the grant is taken as it is')
  const until = clock.now() + DEATH_MS_MAX
  for (;;) {
    const answer = await client.call(instance, probePath, signal)
    if (!answer.ok) {
      const { cause, providerRefused } = await diagnose(client, instance, answer.failure, signal)
      if (cause.code === 'our_client_refused')
        throw new RescindError('not_authenticated', cause.text)
      if (cause.code === 'revoked_or_expired') {
        const who = providerRefused ? 'the provider refuses' : 'not alive'
        wish.step('dead', `${who}: ${cause.text}`)
        return false
      }
      // A limit, a lack of rights or an outage is no death, and may pass.
      if (wish.revoke === null || clock.now() >= until) {
        wish.step('dead', `not known: ${cause.text}`)
        return true
      }
      await clock.sleep(LOOK_MS, signal)
      continue
    }
    if (wish.revoke === null) {
      wish.step('dead', 'no: the instance works, and gets a new grant')
      return true
    }
    if (wish.revoke === 'access') {
      wish.step('dead', 'no: the platform refreshed by itself, as it should at this depth')
      return true
    }
    if (clock.now() >= until) throw stillAlive(instance)
    await clock.sleep(LOOK_MS, signal)
  }
}

function stillAlive({ id }: Instance): RescindError {
  return new RescindError(
    'reconnect_failed',
    `Instance ${id} still works ${DEATH_MS_MAX / 1000} s after its refresh token was revoked. Nothing else was changed: look at the provider.`,
  )
}

async function askConsent(
  instance: Instance,
  wish: ReauthorizeWish,
  { client, signal }: ReauthorizeMeans,
): Promise<Secret> {
  const link = await linkFor(client, instance.elementKey ?? '', signal)
  wish.step('link', linkText(link))
  const code = codeIn(await wish.consent(link), link.state, client.settings.switches)
  wish.step('consent', 'a code came, with our state')
  return code
}

interface Consented {
  readonly code: Secret
  /** As it was when the owner was back. */
  readonly before: Instance
}

/** Brings a code, and an instance that may take it: while its owner was away it may have been disabled. */
async function askCode(
  instance: Instance,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<Consented> {
  const code = await askConsent(instance, wish, means)
  const before = orThrow(await means.client.get(instance.id, means.signal), 'show the instance')
  await enableIfNeeded(before, wish, means)
  return { code, before }
}

async function enableIfNeeded(
  instance: Instance,
  wish: ReauthorizeWish,
  { client, signal }: ReauthorizeMeans,
): Promise<void> {
  if (instance.disabled !== true) return
  const answer = await client.enable(instance, signal)
  wish.step(
    'enable',
    answer.ok ? `PUT /instances/enabled: ${answer.status}` : answer.failure.message,
  )
}

async function applyOrAgain(
  { before, code }: Consented,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<{ readonly instance: Instance; readonly before: Instance; readonly route: Route }> {
  const { client } = means
  const first = await applyCode(before, code, firstRoute(client), means)
  if (first.ok) return told(first, before)
  const route = nextRoute(client, first.route)
  const why = first.failure?.providerMessage ?? first.failure?.message ?? 'no token changed'
  if (route === null) throw notApplied(before, first.route, why)
  wish.step('apply', `${first.route} did not work (${why}): ${route} with a fresh code`)
  const fresh = await askCode(before, wish, means)
  const second = await applyCode(fresh.before, fresh.code, route, means)
  if (second.ok) return told(second, fresh.before)
  throw notApplied(before, route, second.failure?.message ?? 'no token changed')

  function told<T extends { readonly route: Route }>(applied: T, before: Instance) {
    wish.step('apply', `by ${applied.route}: the tokens are others now`)
    return { ...applied, before }
  }
}

function notApplied({ id }: Instance, route: Route, why: string): RescindError {
  return new RescindError(
    'reconnect_failed',
    `Open Connectors did not take the new code for instance ${id} by ${route}: ${why}. The instance has no new grant; run the command again.`,
  )
}

/** The grant that a new one replaced: nobody holds it from now on, and it counts to its person's. */
async function endFormer(
  former: Instance,
  after: Instance,
  { lives, ...wish }: ReauthorizeWish & { readonly lives: boolean },
  means: ReauthorizeMeans,
): Promise<void> {
  const { refresh } = tokensOf(former)
  if (refresh !== null && refresh.reveal() === tokensOf(after).refresh?.reveal()) return
  if (refresh !== null && grantsApart(former)) {
    try {
      const { names, unseen } = await findHolders(former, means)
      if (names.length > 0) {
        return wish.step(
          'revoke',
          'not the former grant: another instance or connection lives on it',
        )
      }
      if (unseen !== null) return wish.warn?.(FORMER_MAY_LIVE)
      const done = await revokeAtProvider(former, 'refresh', means.client.settings, means)
      wish.step('revoke', `the former refresh token, at ${done.url}: ${done.status}`)
      if (done.isDead) return
    } catch (error) {
      if (!isRescindError(error)) throw error
    }
    wish.warn?.(FORMER_MAY_LIVE)
  } else if (lives) wish.warn?.(FORMER_MAY_LIVE)
}

const MAY_BE_HELD =
  'Not all instances could be looked at: another one may live on this grant, and dies with it then.'
const FORMER_MAY_LIVE =
  'Its former grant may live on at the provider: end it there, where it must not.'

/** A grant of somebody else must not go on under this instance: it is disabled, and that is said. */
async function checkGrant(
  right: GrantFacts,
  after: Instance,
  wish: ReauthorizeWish,
  { client, signal }: ReauthorizeMeans,
): Promise<readonly GrantChange[]> {
  const changes = compareGrants(right, factsOf(after))
  const refused = changes.filter((change) => !wish.accept.includes(change))
  if (refused.length === 0) return changes
  const disabled = await client.disable(after, signal)
  const end = disabled.ok ? 'It was disabled' : 'It could NOT be disabled: do it by hand'
  // From now on the instance shows the wrong person.
  const named = right.identity === null ? '' : ` with --identity=${idsOf(right.identity)}`
  const what = refused.map(describeChange).join(', and ')
  throw new ChangedGrant(
    `Instance ${after.id} has a new grant, but ${what}. ${end}. Re-authenticate it as the right account${named}, or accept this one with --accept-change=${refused[0]}.`,
    refused,
  )
}

/**
 * Calls through an instance that has a new grant.
 *
 * @throws RescindError `reconnect_failed`
 */
export async function confirmAlive(
  instance: Instance,
  { client, signal }: Pick<ReauthorizeMeans, 'client' | 'signal'>,
  tell: (text: string) => void,
): Promise<void> {
  const { probePath } = appOf(client.settings, instance.elementKey)
  const answer = await client.call(instance, probePath, signal)
  if (answer.ok) return tell(`a call through the instance: ${answer.status}`)
  const { cause } = await diagnose(client, instance, answer.failure, signal)
  throw new RescindError(
    'reconnect_failed',
    `Instance ${instance.id} has new tokens, and still does not work. ${cause.text}`,
  )
}
