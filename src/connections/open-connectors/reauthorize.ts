import { randomBytes } from 'node:crypto'
import { isRescindError, RescindError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import type { Identity } from '../../providers/connection-way.ts'
import type { FormerGrants } from '../../store/former-grants.ts'
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
import { endFormers, formerText, keptFormers } from './former-grant.ts'
import { type Instance, identityOf, scopesOf, tokensOf } from './instance.ts'
import { orSayWhatIs, type SoFar } from './left-behind.ts'
import { appOf, putBody, refuseMasked } from './requests.ts'
import type { RevokedToken } from './revoke-at-provider.ts'
import { checkSole, lookAlive, revokeFirst, stillAlive } from './revoke-first.ts'
import type { OpenConnectorsMeans } from './traced-send.ts'

/** 256 bits: nobody guesses the state of a login that is under way. */
const STATE_BYTES = 32

/** A person who stops the run does not stop this; shorter than what a stopped process has left. */
const DISABLE_MS_MAX = 10_000

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
  /** Looks whether an answer could come to the callback, before anything is changed. */
  checkCallback?(redirectUri: string): Promise<void>
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
  /** As the provider says, asked by the new token; null where it could not be: what the platform shows is no proof. */
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
  /** Remembers the grants that a new one may replace, from before it is applied until they are dead. */
  readonly formers?: FormerGrants | undefined
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
  given: ReauthorizeMeans,
): Promise<Reauthorized> {
  const { client, signal } = given
  const found = orThrow(await client.get(asked.instance, signal), 'show the instance')
  const means = withTenants(found, given)
  const right = await rightGrant(found, asked, means)
  const wish = { ...asked, identity: right.identity }
  tellInstance(found, wish, means)
  const kept = await keptFormers(found, wish, means)
  if (wish.revoke === 'refresh') await checkSole(found, wish, means)
  // What can be looked at is looked at before a grant is ended that works.
  checkPut(found, firstRoute(client), client)
  await wish.checkCallback?.(client.settings.callbackUrl)
  const link = await linkFor(client, found.elementKey ?? '', signal)
  const soFar: SoFar = {
    ...{ reached: 'before', isRevoked: false, life: 'maybe', formers: [...kept], after: found },
  }
  return orSayWhatIs(soFar, found, wish, means, async () => {
    const budget = await killAndCount(soFar, found, wish, means)
    const consented = await askCode(found, wish, means, link)
    await remember(found.id, right, means)
    const applied = await applyOrAgain(consented, soFar, wish, means)
    const { instance: after, route } = applied
    Object.assign(soFar, { reached: 'grant', after })
    // Nothing that may fail or take long comes between a new grant and its check.
    const compared = await checkGrant(right, soFar, found, wish, means).finally(() =>
      moveTo(after.id, found.id, right, soFar, means),
    )
    soFar.reached = 'right'
    await means.owners?.forget(client.settings.url, after.id)
    const wasDisabled = [consented.before, applied.before].some((one) => one.disabled === true)
    // Whether a new code lifts the lock is not documented: it is looked at.
    await enableIfNeeded(after, wish, means)
    await endFormers(soFar, found, wish, means)
    soFar.reached = 'end'
    await confirmAlive(after, means, (text) => wish.step('alive', text))
    const [was, is] = [tokensOf(found), tokensOf(after)]
    return {
      ...{ instance: after.id, route, wasDisabled, budget, ...compared },
      idKept: found.id === after.id,
      elementTokenKept: found.token?.reveal() === after.token?.reveal(),
      refreshTokenChanged: was.refresh?.reveal() !== is.refresh?.reveal(),
    }
  })
}

/** Found before anything is changed: what is wrong with a tenant must not come between a new grant and its check. */
function withTenants({ elementKey }: Instance, means: ReauthorizeMeans): ReauthorizeMeans {
  const { client, tenantsOf } = means
  const tenants = tenantsOf?.(appOf(client.settings, elementKey).apiKey) ?? []
  return { ...means, tenantsOf: () => tenants }
}

async function killAndCount(
  soFar: SoFar,
  found: Instance,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<Budget | null> {
  const former = wish.revoke === null ? null : await countByOwn(found, wish.identity ?? null, means)
  await revokeFirst(found, wish, means)
  soFar.isRevoked = wish.revoke === 'refresh'
  soFar.life = await lookAlive(found, wish, means)
  if (soFar.isRevoked && soFar.life === 'alive') {
    soFar.isRevoked = false
    throw stillAlive(found, 'refresh')
  }
  const lives = soFar.life !== 'dead'
  const counted = await countGrants(found, wish.identity ?? null, lives, means).catch((error) => {
    // A count that cannot be had warns of nothing.
    if (isRescindError(error)) return null
    throw error
  })
  const budget = sinceRevoked(counted, former, lives)
  wish.step('budget', budget ? `${countText(budget)} live` : 'not known')
  if (budget && evictsOldest(budget) !== false) wish.warn?.(budgetText(budget))
  return budget
}

/** A mask must not be sent back: looked at before anybody logs in for it. @throws RescindError `secret_masked` */
function checkPut(instance: Instance, route: Route, { settings }: OpenConnectorsClient): void {
  if (route === 'PUT') refuseMasked(putBody(instance, new Secret('no code yet'), settings))
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

/** What is remembered goes on under the id that the platform shows now. */
async function moveTo(
  id: number,
  before: number,
  right: GrantFacts,
  soFar: SoFar,
  means: ReauthorizeMeans,
): Promise<void> {
  if (id === before) return
  const { owners, formers, client } = means
  await remember(id, right, means)
  await owners?.forget(client.settings.url, before)
  for (const token of soFar.formers) {
    await formers?.keep(client.settings.url, id, token)
    await formers?.forget(client.settings.url, before, token)
  }
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
  if (!URL.canParse(client.settings.callbackUrl)) {
    throw new RescindError(
      'config_invalid',
      'openConnectors.callbackUrl in rescind.yaml is no address. Set the one that is registered at the provider, like http://127.0.0.1:1717/callback.',
    )
  }
  const state = new Secret(randomBytes(STATE_BYTES).toString('base64url'))
  const url = orThrow(await client.consentUrl(element, state, signal), 'give a consent URL')
  const { callbackUrl: redirectUri, switches } = client.settings
  return { url, state, redirectUri, mayLackState: switches.state === 'if-echoed' }
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
  const valid = found.valid === null ? '' : `; valid: ${found.valid}, as the platform says`
  const what = found.elementKey ?? 'an unknown element'
  wish.step('instance', `${found.id} of ${what}, ${state}${valid}`)
  const isShort = switches.elementHeader === 'user-element'
  wish.step('header', `Authorization: User …, ${isShort ? '' : 'Organization …, '}Element …`)
  wish.step('token', `access token ${shown(access)}, refresh token ${shown(refresh)}`)
}

async function askConsent(
  instance: Instance,
  wish: ReauthorizeWish,
  { client, signal }: ReauthorizeMeans,
  made?: ReconnectLink,
): Promise<Secret> {
  const link = made ?? (await linkFor(client, instance.elementKey ?? '', signal))
  wish.step('link', linkText(link))
  const code = codeIn(await wish.consent(link), link.state, client.settings.switches)
  wish.step('consent', 'a code came')
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
  link?: ReconnectLink,
): Promise<Consented> {
  const code = await askConsent(instance, wish, means, link)
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
  soFar: SoFar,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<{ readonly instance: Instance; readonly before: Instance; readonly route: Route }> {
  const { client } = means
  const first = await give(before, code, firstRoute(client))
  if (first.ok) return told(first, before)
  const route = nextRoute(client, first.route)
  const why = first.failure?.providerMessage ?? first.failure?.message ?? 'no token changed'
  if (route === null) throw notApplied(before, first.route, why)
  wish.step('apply', `${first.route} did not work (${why}): ${route} with a fresh code`)
  checkPut(before, route, client)
  const fresh = await askCode(before, wish, means)
  const second = await give(fresh.before, fresh.code, route)
  if (second.ok) return told(second, fresh.before)
  throw notApplied(before, route, second.failure?.message ?? 'no token changed')

  async function give(to: Instance, code: Secret, route: Route) {
    const { refresh } = tokensOf(to)
    if (refresh !== null && !(soFar.isRevoked && soFar.life === 'dead')) {
      await means.formers?.keep(client.settings.url, to.id, refresh)
      const isKept = soFar.formers.some((one) => one.reveal() === refresh.reveal())
      if (!isKept) soFar.formers.push(refresh)
    }
    soFar.reached = 'code'
    return applyCode(to, code, route, means)
  }

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

/** A grant of somebody else must not go on under this instance: it is disabled, and that is said. */
async function checkGrant(
  right: GrantFacts,
  soFar: SoFar,
  found: Instance,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<Pick<Reauthorized, 'changes' | 'sameIdentity'>> {
  const { client, signal } = means
  const { after } = soFar
  const shown = factsOf(after)
  // The platform may show somebody, and hold the tokens of somebody else.
  const told = await askWhose(after, means)
  const changes = compareGrants(right, { ...shown, identity: told ?? shown.identity })
  const refused = changes.filter((change) => !wish.accept.includes(change))
  if (refused.length === 0) {
    signal?.throwIfAborted()
    const isOther = changes.some((change) => change !== 'fewer_scopes')
    const isTold = told !== null && right.identity !== null
    return { changes, sameIdentity: isOther ? false : isTold ? true : null }
  }
  const end = await disableAnyway(after, client)
  // From now on the instance shows the wrong person.
  const named = right.identity === null ? '' : ` with --identity=${idsOf(right.identity)}`
  const what = refused.map(describeChange).join(', and ')
  const former = formerText(soFar, found, means)
  soFar.reached = 'end'
  throw new ChangedGrant(
    [
      `Instance ${after.id} has a new grant, but ${what}. ${end}. Re-authenticate it as the right account${named}, or accept this one with --accept-change=${refused[0]}.`,
      ...(former === null ? [] : [former]),
    ].join(' '),
    refused,
  )
}

async function disableAnyway(instance: Instance, client: OpenConnectorsClient): Promise<string> {
  const late = AbortSignal.timeout(DISABLE_MS_MAX)
  const disabled = await client.disable(instance, late).catch(() => null)
  if (disabled === null) return 'Whether it was disabled is not known: look, and do it by hand'
  return disabled.ok ? 'It was disabled' : 'It could NOT be disabled: do it by hand'
}

/**
 * Asks the provider whose the token is that an instance holds; null where nobody can, or it does not say, or
 * the run was stopped: what the platform shows is compared then.
 */
async function askWhose(
  instance: Instance,
  { client, tenantsOf, http, signal }: ReauthorizeMeans,
): Promise<Identity | null> {
  const { access } = tokensOf(instance)
  const { apiKey } = appOf(client.settings, instance.elementKey)
  for (const { way, app } of access ? (tenantsOf?.(apiKey) ?? []) : []) {
    const answer = access && (await way.probe(app, access, { http, signal }).catch(orNull))
    if (answer?.verdict === 'alive' && answer.identity) return answer.identity
  }
  return null

  function orNull(error: unknown): null {
    if (isRescindError(error) || signal?.aborted) return null
    throw error
  }
}

/**
 * Calls through an instance that has a new grant.
 *
 * @throws RescindError `reconnect_failed`, and `answer_invalid` for an answer that shows neither life nor death
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
  if (answer.failure.status < 300) {
    const message = `Instance ${instance.id} has new tokens, and whether it works is not known: ${cause.text}. Call through it before you rely on it.`
    throw new RescindError('answer_invalid', message)
  }
  throw new RescindError(
    'reconnect_failed',
    `Instance ${instance.id} has new tokens, and still does not work. ${cause.text}`,
  )
}
