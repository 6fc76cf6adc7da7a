import type { Fingerprint, Secret } from '../../core/secret.ts'
import type { Identity } from '../../providers/connection-way.ts'
import type { Cause, CauseCode, ConnectionState } from '../connection.ts'

/** How deep a drill revokes, and with it what must follow. */
export type Depth = 'access' | 'refresh' | 'grant'

/**
 * Where a drilled connection lives: our own vault, or an account of Open Connectors. The drill knows no
 * other way to the connection than this; what it proves at the provider itself it does beside it.
 */
export interface Platform {
  readonly name: 'rescind' | 'open-connectors'
  /** How it behaves by its own documentation: what a drill may expect of it. */
  readonly habits: PlatformHabits
  readonly receiver: Receiver
  /** Reads the connection without using it. */
  snapshot(signal?: AbortSignal): Promise<PlatformSnapshot>
  /** One call through the platform to the provider, as a customer's job would make it. */
  call(signal?: AbortSignal): Promise<PlatformCall>
  /** A call that needs the platform alone. */
  control(signal?: AbortSignal): Promise<boolean>
  /** Runs the platform's own scheduled check now, unprompted by a failing call. */
  scheduledCheck(signal?: AbortSignal): Promise<void>
  /** Notices that the platform sent about the connection since a moment, as the receiver got them. */
  notices(since: number): Promise<readonly Notice[]>
  /** Asks for a link at which the owner consents anew. */
  reconnectLink(signal?: AbortSignal): Promise<ReconnectLink>
  /** Ends a link that nobody is to come by any more, where the platform remembers it. */
  endLink(link: ReconnectLink): Promise<void>
  /** Gives the platform what came to the callback. */
  applyCallback(link: ReconnectLink, callback: Callback, signal?: AbortSignal): Promise<Applied>
  /** Enables a connection that the platform disabled by itself; `not_needed` when it did not. */
  enable(signal?: AbortSignal): Promise<'enabled' | 'not_needed'>
  /** Makes the platform refresh once, so that the new grant is shown to last. */
  forceRefresh(signal?: AbortSignal): Promise<PlatformCall>
  /** The tokens as the platform holds them, for the direct calls of the drill; never printed. */
  tokens(signal?: AbortSignal): Promise<HeldTokens>
  /** How often it tried to refresh this connection since a moment; null where it does not tell. */
  refreshes(since: number): Promise<number | null>
  /**
   * Names who else lives on the same grant, wherever it can be looked for.
   *
   * @throws RescindError `drill_refused` where not all could be looked at
   */
  sharing(signal?: AbortSignal): Promise<readonly string[]>
  /** The other connections of the same app or account, all pages of them. */
  others(signal?: AbortSignal): Promise<readonly OtherConnection[]>
  /** One call through another connection, as a job of its owner's would make it. */
  callOther(id: string, signal?: AbortSignal): Promise<PlatformCall>
}

/**
 * What of the drill's gets a platform's notices: one that keeps them, whatever becomes of this process;
 * one that ends with it; one that ended with a process that died; or none.
 */
export type Receiver = 'kept' | 'of_process' | 'lost' | 'none'

/** What differs between platforms by design, as data. */
export interface PlatformHabits {
  /** The command that tags a connection, without its id and the tag; null where another program does. */
  readonly tagCommand: string | null
  /** Refreshes that one dead grant may cost before the platform gives up. */
  readonly refreshAttemptsMax: number
  /** Refreshes that its scheduled check makes of a connection that is well. */
  readonly refreshesOfCheck: number
  /** Its notices carry a signature. */
  readonly signsNotices: boolean
  /** What it tells when a grant is dead. */
  readonly deathNotices: readonly Notice['kind'][]
  /** It tells when a connection is well again. */
  readonly tellsHealing: boolean
  /** Its reconnect links use PKCE (RFC 7636). */
  readonly usesPkce: boolean
  /** It can be told why a connection is dead, and not only that it is. */
  readonly tellsCause: boolean
}

export interface HeldTokens {
  readonly access: Secret
  readonly refresh: Secret | null
}

export interface OtherConnection {
  readonly id: string
  readonly state: ConnectionState
  readonly identity?: Identity | null
}

export interface PlatformSnapshot {
  readonly id: string
  readonly tags: readonly string[]
  readonly state: ConnectionState
  /** Why it is not connected, where the platform says it. */
  readonly cause?: Cause | null
  readonly accessFingerprint: Fingerprint | null
  readonly refreshFingerprint: Fingerprint | null
  readonly identity: Identity | null
  readonly scopes: readonly string[]
  /** Of the platform's own: an instance's id and key, when it last refreshed. No secrets. */
  readonly facts: Readonly<Record<string, string>>
}

export interface PlatformCall {
  readonly ok: boolean
  readonly status: number | null
  readonly identity: Identity | null
  /** The provider said no (and not the platform itself). */
  readonly providerRefused: boolean
  readonly cause: CauseCode | null
  readonly requestId: string | null
}

export interface Notice {
  readonly id: string
  readonly at: number
  readonly kind: 'needs_reauth' | 'healed' | 'disabled' | 'other'
  /** Null where the channel has no signatures (e-mail), and where only the platform's history has it. */
  readonly signatureGood: boolean | null
  readonly cause: string | null
}

export interface ReconnectLink {
  /** Where the person goes. */
  readonly url: string
  readonly state: Secret
  readonly redirectUri: string
  /** An answer without any state is taken as well: the provider may not echo it. */
  readonly mayLackState?: boolean | undefined
}

export interface Callback {
  readonly code: Secret | null
  readonly state: string | null
  readonly error: string | null
  /** Who says that it answers, where it does. @see RFC 9207 */
  readonly iss?: string | null
}

export interface Applied {
  readonly ok: boolean
  /** How it was applied: `callback`, `PATCH`, `PUT`. */
  readonly route: string
  readonly cause: CauseCode | null
  /** Its answer was lost, or says nothing: it may have taken the code all the same. */
  readonly mayBeTaken?: boolean | undefined
  /** Why it was refused, in one sentence for a person, where the platform says it. */
  readonly why?: string | undefined
}
