import { isRescindError, RescindError } from '../../core/errors.ts'
import type { Fingerprinter, Secret } from '../../core/secret.ts'
import type { ConnectionStore } from '../../store/connections.ts'
import type { GrantOwners } from '../../store/grant-owners.ts'
import type { CauseCode, ConnectionState } from '../connection.ts'
import type {
  Applied,
  Callback,
  Notice,
  OtherConnection,
  Platform,
  PlatformCall,
  PlatformHabits,
  PlatformSnapshot,
  ReconnectLink,
} from '../drill/platform.ts'
import type { Failure } from './answer.ts'
import { applyCode, firstRoute, nextRoute, type Route } from './apply-code.ts'
import { type OpenConnectorsClient, orThrow } from './client.ts'
import { refreshTimeMs } from './configuration.ts'
import { checkState, codeIn } from './consent.ts'
import { type Diagnosis, diagnose } from './diagnose.ts'
import { findHolders } from './holders.ts'
import { type Instance, identityOf, scopesOf, tokensOf } from './instance.ts'
import { otherInstances } from './other-instances.ts'
import { forgetIfRight, linkFor } from './reauthorize.ts'
import { appOf } from './requests.ts'
import { revokeAtProvider } from './revoke-at-provider.ts'
import type { OpenConnectorsMeans } from './traced-send.ts'

/** A mail of the platform to its account: the one notice that it sends. */
export interface Mail {
  readonly id: string
  readonly at: number
  readonly subject: string
  readonly text: string
}

/** Where the platform's mail arrives. */
export interface Mailbox {
  /** The mails since a moment, oldest first. */
  since(at: number, signal?: AbortSignal): Promise<readonly Mail[]>
}

export interface OpenConnectorsPlatformOptions extends OpenConnectorsMeans {
  readonly client: OpenConnectorsClient
  readonly instance: number
  readonly fingerprint: Fingerprinter
  /** Who is right, as a re-authentication remembers it from before a wrong grant. */
  readonly owners?: GrantOwners | undefined
  /** Our own vault, which may hold the same grant. */
  readonly connections?: Pick<ConnectionStore, 'isHeld'> | undefined
  /** Without one no notice can be seen: the platform has no webhook for a lost grant. */
  readonly mailbox?: Mailbox | undefined
  /** Starts the platform's nightly refresh; there is no call for it, an emulator has one. */
  readonly nightly?: ((signal?: AbortSignal) => Promise<void>) | undefined
}

/**
 * An instance of Open Connectors as a drill sees it. Its health is asked for each time: the platform
 * tells nobody but by mail, and its `valid` is not believed.
 */
export function openConnectorsPlatform(options: OpenConnectorsPlatformOptions): Platform {
  const { client, fingerprint, mailbox, nightly, clock } = options
  const { settings } = client
  // Which way the next code goes: after a PATCH that failed, a fresh one goes by PUT.
  let route: Route = firstRoute(client)
  // No page says that the id outlives a new grant: it is followed.
  let { instance: id } = options
  const read = async (signal?: AbortSignal) =>
    orThrow(await client.get(id, signal), 'show the instance')
  const call = (signal?: AbortSignal) => callThrough(id, signal)
  const callThrough = async (of: number, signal?: AbortSignal): Promise<PlatformCall> => {
    try {
      const instance = orThrow(await client.get(of, signal), 'show the instance')
      const { probePath } = appOf(settings, instance.elementKey)
      const answer = await client.call(instance, probePath, signal)
      if (answer.ok) return aliveCall(answer.status, instance)
      const diagnosis = await diagnose(client, instance, answer.failure, signal)
      return refusedCall(answer.failure, diagnosis)
    } catch (error) {
      return brokenCall(error)
    }
  }
  return {
    name: 'open-connectors',
    habits: HABITS,
    receiver: mailbox === undefined ? 'none' : 'kept',
    snapshot: async (signal) => snapshotOf(await read(signal), fingerprint),
    call,
    async control(signal) {
      const answer = await client.control(signal)
      return answer.ok
    },
    async scheduledCheck(signal) {
      if (nightly) await nightly(signal)
      else await call(signal)
    },
    async notices(since) {
      const mails = (await mailbox?.since(since)) ?? []
      return mails.filter((mail) => isAbout(mail, id)).map(noticeOf)
    },
    reconnectLink: async (signal) => linkFor(client, (await read(signal)).elementKey ?? '', signal),
    // The platform remembers no link of its own.
    endLink: async () => {},
    async applyCallback(link, callback, signal) {
      const code = takeCode(link, callback, client)
      if (code === null) return { ok: false, route: 'callback', cause: 'by_owner' }
      const instance = await read(signal)
      const applied = await applyCode(instance, code, route, { client, clock, signal })
      if (applied.ok) {
        route = firstRoute(client)
        id = applied.instance.id
        await forgetIfRight(applied.instance, options)
        return { ok: true, route: applied.route, cause: null }
      }
      route = nextRoute(client, applied.route) ?? route
      return notApplied(applied.route, applied.failure)
    },
    async enable(signal) {
      const instance = await read(signal)
      if (instance.disabled !== true) return 'not_needed'
      orThrow(await client.enable(instance, signal), 'enable the instance')
      return 'enabled'
    },
    async forceRefresh(signal) {
      // No call makes the platform refresh. A dead access token does, at the next use.
      await revokeAtProvider(await read(signal), 'access', settings, { ...options, signal })
      return call(signal)
    },
    async tokens(signal) {
      const { access, refresh } = tokensOf(await read(signal))
      if (access) return { access, refresh }
      throw new RescindError(
        'answer_invalid',
        `Instance ${id} shows no access token. Check that the user may see it.`,
      )
    },
    // When it last refreshed is all that it tells.
    refreshes: async () => null,
    sharing: async (signal) => readSharing(await read(signal), { ...options, signal }),
    others: (signal) => readOthers(id, { ...options, signal }),
    callOther: (other, signal) => callThrough(Number(other), signal),
  }
}

/** Five refreshes, then the instance is disabled, and a mail says so: SAP Help, "Automatic Disabling of Instances". */
const HABITS: PlatformHabits = {
  tagCommand: null,
  refreshAttemptsMax: 5,
  refreshesOfCheck: 1,
  signsNotices: false,
  deathNotices: ['disabled'],
  tellsHealing: false,
  usesPkce: false,
  tellsCause: false,
}

async function readSharing(
  instance: Instance,
  means: Parameters<typeof findHolders>[1],
): Promise<readonly string[]> {
  const { names, unseen } = await findHolders(instance, means)
  if (names.length > 0 || unseen === null) return names
  throw new RescindError(
    'drill_refused',
    `${unseen} Another instance may live on the same grant: drill when all can be looked at, or in an account set apart for it.`,
  )
}

async function readOthers(
  own: number,
  means: OpenConnectorsPlatformOptions & { readonly signal?: AbortSignal | undefined },
): Promise<readonly OtherConnection[]> {
  const others: OtherConnection[] = []
  for await (const other of otherInstances(own, means)) {
    // What cannot be read cannot be compared; whether it shares the grant was asked before.
    if ('unseen' in other) continue
    others.push({ id: String(other.id), state: stateOf(other), identity: identityOf(other) })
  }
  return others
}

function snapshotOf(instance: Instance, fingerprint: Fingerprinter): PlatformSnapshot {
  const { access, refresh } = tokensOf(instance)
  const print = (token: Secret | null) => (token === null ? null : fingerprint(token))
  return {
    id: String(instance.id),
    tags: instance.tags,
    state: stateOf(instance),
    accessFingerprint: print(access),
    refreshFingerprint: print(refresh),
    identity: identityOf(instance),
    scopes: scopesOf(instance),
    facts: factsOf(instance, fingerprint),
  }
}

/**
 * What the platform shows of an instance is that it is disabled, and no more: whether an enabled one works,
 * only a call tells. Without a token it surely does not.
 */
function stateOf(instance: Instance): ConnectionState {
  if (instance.disabled === true) return 'disabled'
  return tokensOf(instance).access === null ? 'reconnect_needed' : 'connected'
}

function factsOf(instance: Instance, fingerprint: Fingerprinter): Record<string, string> {
  const refreshedAt = refreshTimeMs(instance.configuration)
  return {
    element: instance.elementKey ?? 'unknown',
    valid: String(instance.valid ?? 'not said'),
    ...(instance.token === null ? {} : { elementToken: fingerprint(instance.token) }),
    ...(refreshedAt === null ? {} : { refreshedAt: new Date(refreshedAt).toISOString() }),
  }
}

function aliveCall(status: number, instance: Instance): PlatformCall {
  // The record of the platform, not a word of the provider's: the drill asks the provider itself.
  const identity = identityOf(instance)
  return { ok: true, status, identity, providerRefused: false, cause: null, requestId: null }
}

function refusedCall(
  { status, requestId }: Failure,
  { providerRefused, cause }: Diagnosis,
): PlatformCall {
  return { ok: false, status, identity: null, providerRefused, cause: cause.code, requestId }
}

function brokenCall(error: unknown): PlatformCall {
  if (!isRescindError(error)) throw error
  return {
    ...{ ok: false, status: null, identity: null, providerRefused: false, requestId: null },
    cause: causeOfError(error),
  }
}

function causeOfError({ code }: RescindError): CauseCode {
  switch (code) {
    case 'not_authenticated':
    case 'instance_unknown':
      return 'our_client_refused'
    case 'not_permitted':
      return 'forbidden'
    case 'answer_invalid':
      return 'malformed_answer'
    case 'provider_busy':
      return 'provider_down'
    default:
      return 'network'
  }
}

/** A denial is an answer; a state that is not ours is an attack, and thrown. */
function takeCode(
  link: ReconnectLink,
  callback: Callback,
  { settings }: OpenConnectorsClient,
): Secret | null {
  checkState(callback, link.state, settings.switches)
  return callback.error === null ? codeIn(callback, link.state, settings.switches) : null
}

function notApplied(route: Route, failure: Failure | null): Applied {
  const refusedBy = failure?.status ?? 0
  const cause = refusedBy >= 500 ? 'provider_down' : 'malformed_answer'
  // A code that it refuses is answered with a 4xx.
  const mayBeTaken = failure === null || refusedBy >= 500
  return { ok: false, route, cause, mayBeTaken }
}

/** A mail names the instance by its id; a number inside a longer one is another instance's. */
function isAbout({ subject, text }: Mail, instance: number): boolean {
  return new RegExp(`(?<!\\d)${instance}(?!\\d)`).test(`${subject}\n${text}`)
}

function noticeOf({ id, at, subject, text }: Mail): Notice {
  const isDisabled = /disabled/i.test(subject + text)
  return { id, at, kind: isDisabled ? 'disabled' : 'other', signatureGood: null, cause: null }
}
