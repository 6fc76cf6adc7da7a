import type { Clock } from '../../src/core/clock.ts'
import type { ListenOptions } from '../listen.ts'
import { type Choices, fillSwitches } from '../switches.ts'
import type { Fault } from './faults.ts'

/** How the account behaves where the documentation is silent, and how it is wrong on purpose. */
export interface OpenConnectorsSwitches extends OpenQuestions, WrongOnPurpose {}

/** What no page says; each is to be found out on a real account, and assumed by nobody. */
export interface OpenQuestions {
  /** Whether re-authentication by PATCH enables an instance that failed refreshes disabled. */
  readonly patchClearsDisabled: boolean
  /** The same of `PUT /instances/{id}?reAuthenticate=true` and `PUT /instances`. */
  readonly putClearsDisabled: boolean
  /** Whether the Element token outlives a re-authentication. */
  readonly elementTokenOnReauth: 'kept' | 'new'
  /** Whether the id does. */
  readonly idOnReauth: 'kept' | 'new'
  /** What `valid` says: always true, what the last refresh showed, or that in the single read alone, and true in lists. */
  readonly valid: 'always-true' | 'follows' | 'list-differs'
  /** Whether answers show secrets of the configuration, or asterisks in their place; OAuth tokens are always shown. */
  readonly secretsInAnswers: 'clear' | 'masked'
  /** What a change does that sends those asterisks back. */
  readonly maskedEcho: 'stored' | 'ignored'
  /** Whether the OAuth URL carries the `state` that was asked for. */
  readonly stateInOauthUrl: 'echoed' | 'dropped'
  /** Whether the OAuth URL carries a `client_secret`, as the vendor's sample does. */
  readonly clientSecretInOauthUrl: boolean
  /** What PATCH and PUT do with `externalAuthentication: initial` and a refresh token. */
  readonly seedOnChange: 'ignored' | 'accepted'
  /** Whether a refused re-authentication leaves the tokens blank that it was sent blank. */
  readonly failedReauth: 'unchanged' | 'blanked'
  /** What `GET /instances` gives when an Element token is in the header. */
  readonly elementTokenRead: 'object' | 'list'
  /** What tags are in the answer to a creation; in every other answer they are names. */
  readonly tagsOnCreate: 'objects' | 'names'
  /** The unit of `oauth.user.refresh_time`. */
  readonly refreshTimeUnit: 'ms' | 's'
  /** Whether `oauth.user.refresh_time` is there before the first refresh. */
  readonly refreshTimeOnCreate: 'set' | 'null'
  /** Instances on a page of the list, at most. */
  readonly pageSize: number
  /** For how long reads still show an instance as it was before a change, in milliseconds. */
  readonly readLagMs: number
  /** How long an e-mail is under way, in milliseconds. */
  readonly emailDelayMs: number
  /** What a call answers when the refresh behind it failed; bare is without `providerMessage`. */
  readonly failedRefresh: '401' | '401-bare' | '502'
  /** Whether `providerMessage` is the provider's sentence or its whole body. */
  readonly providerMessage: 'text' | 'body'
  /** What a call through a disabled instance answers. */
  readonly disabledCall: 400 | 401 | 403
  /** Whether the platform repeats a failed refresh by itself, or with the next call after the pause. */
  readonly failedRefreshIsRepeated: 'by-itself' | 'by-calls'
  /** How long the platform waits for a provider's answer, in milliseconds of the machine's clock. */
  readonly providerTimeoutMs: number
  /** Whether calls that need a refresh at one time share one. */
  readonly concurrentRefreshes: 'one' | 'each'
  /** Whether deleting an instance revokes its tokens at the provider. */
  readonly deleteRevokes: boolean
}

/** Platforms that a rehearsal must see through. */
export interface WrongOnPurpose {
  /** Never: a dead grant is hidden behind cached answers, without a notice. Twice: two e-mails of one event. */
  readonly notices: 'once' | 'never' | 'twice'
  /** Whose tokens a re-authentication stores: a neighbour's in the same account, seen or not in `sfdc.user.id.url`. */
  readonly healsInto: 'same' | 'neighbour' | 'neighbour-hidden'
  /** Whether a refresh token that came with a refresh is stored; what the real platform does, no page says. */
  readonly rotatedToken: 'stored' | 'lost'
  /** A storm sends twenty refreshes where one is needed, without a pause. */
  readonly refreshes: 'bounded' | 'storm'
}

/** What the documentation makes most likely, and a platform that does it right. */
export const DEFAULT_OPEN_CONNECTORS_SWITCHES: OpenConnectorsSwitches = {
  patchClearsDisabled: false,
  putClearsDisabled: false,
  elementTokenOnReauth: 'kept',
  idOnReauth: 'kept',
  valid: 'always-true',
  secretsInAnswers: 'clear',
  maskedEcho: 'stored',
  stateInOauthUrl: 'echoed',
  clientSecretInOauthUrl: true,
  seedOnChange: 'ignored',
  failedReauth: 'unchanged',
  elementTokenRead: 'object',
  tagsOnCreate: 'objects',
  refreshTimeUnit: 'ms',
  refreshTimeOnCreate: 'set',
  pageSize: 200,
  readLagMs: 0,
  emailDelayMs: 0,
  failedRefresh: '401',
  providerMessage: 'text',
  disabledCall: 403,
  failedRefreshIsRepeated: 'by-itself',
  providerTimeoutMs: 30_000,
  concurrentRefreshes: 'one',
  deleteRevokes: false,
  notices: 'once',
  healsInto: 'same',
  rotatedToken: 'stored',
  refreshes: 'bounded',
}

/** What is neither yes or no nor a count. */
const CHOICES: Choices<OpenConnectorsSwitches> = {
  elementTokenOnReauth: ['kept', 'new'],
  idOnReauth: ['kept', 'new'],
  valid: ['always-true', 'follows', 'list-differs'],
  secretsInAnswers: ['clear', 'masked'],
  maskedEcho: ['stored', 'ignored'],
  stateInOauthUrl: ['echoed', 'dropped'],
  seedOnChange: ['ignored', 'accepted'],
  failedReauth: ['unchanged', 'blanked'],
  elementTokenRead: ['object', 'list'],
  tagsOnCreate: ['objects', 'names'],
  refreshTimeUnit: ['ms', 's'],
  refreshTimeOnCreate: ['set', 'null'],
  failedRefresh: ['401', '401-bare', '502'],
  providerMessage: ['text', 'body'],
  disabledCall: [400, 401, 403],
  failedRefreshIsRepeated: ['by-itself', 'by-calls'],
  concurrentRefreshes: ['one', 'each'],
  notices: ['once', 'never', 'twice'],
  healsInto: ['same', 'neighbour', 'neighbour-hidden'],
  rotatedToken: ['stored', 'lost'],
  refreshes: ['bounded', 'storm'],
}

/** Fills up switches with their defaults. Throws TypeError where a name or a value is unknown. */
export function resolveSwitches(
  switches?: Partial<OpenConnectorsSwitches>,
): OpenConnectorsSwitches {
  return fillSwitches(DEFAULT_OPEN_CONNECTORS_SWITCHES, CHOICES, switches)
}

/** What an emulated account is made of. */
export interface OpenConnectorsOptions extends ListenOptions {
  /** Where Salesforce is: the url of an emulated org, in place of login.salesforce.com and test.salesforce.com. */
  readonly salesforceUrl: string
  /** The same seed makes the same secrets. */
  readonly seed?: number | undefined
  readonly switches?: Partial<OpenConnectorsSwitches> | undefined
  readonly faults?: readonly Fault[] | undefined
  /** Added to every answer, in milliseconds. */
  readonly latencyMs?: number | undefined
  /** How many times as fast as the machine's the account's clock runs: waits, nights, and the times that it writes. */
  readonly timeScale?: number | undefined
  /** Between two attempts of a refresh, by the account's clock; ten seconds unless told. */
  readonly refreshRetryMs?: number | undefined
  /** Between two runs of the nightly refresh, by the account's clock; a day unless told. */
  readonly nightMs?: number | undefined
  /** A clock of the caller's own, in place of the scaled one. */
  readonly clock?: Clock | undefined
}
