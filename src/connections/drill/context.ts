import type { Clock } from '../../core/clock.ts'
import type { Fingerprint, Secret } from '../../core/secret.ts'
import type {
  ConnectionApp,
  ConnectionTraits,
  ConnectionWay,
  WayMeans,
} from '../../providers/connection-way.ts'
import type { ConnectionState } from '../connection.ts'
import type { Vault } from '../vault.ts'
import type { Consent } from './consent/consent.ts'
import type { EmulatorControl } from './emulator.ts'
import type { NoticeInbox } from './notice-inbox.ts'
import type {
  Applied,
  Callback,
  Depth,
  HeldTokens,
  Platform,
  PlatformHabits,
  PlatformSnapshot,
  ReconnectLink,
} from './platform.ts'

/** Where a drill is run: against an emulator, a sandbox, or one dedicated connection in production. */
export type Mode = 'simulated' | 'sandbox' | 'canary'

/** What a drill may take; more fails it. */
export interface DrillLimits {
  readonly detectMs: number
  readonly notifyMs: number
  readonly recoverMs: number
  readonly falseHealthyMs: number
  /** For how long calls go on after the connection is known to be dead. */
  readonly loadMs: number
}

/** What a judge may know beside what was seen. */
export interface DrillRules {
  readonly depth: Depth
  readonly limits: DrillLimits
  readonly traits: ConnectionTraits
  readonly habits: PlatformHabits
  /** Hosts at which the owner may be asked to consent, and our client there. */
  readonly consentHosts: readonly string[]
  readonly clientId: string
  readonly redirectUri: string
}

/** The provider, asked directly. */
export interface DirectWay {
  readonly way: ConnectionWay
  readonly app: ConnectionApp
  readonly means: WayMeans
}

/** What the provider itself counts; an emulator can be asked. */
export interface Witness {
  /**
   * Refreshes of the drilled connection that the provider has seen since a moment.
   *
   * @param old the refresh token before the drill, whose grant is the connection's too
   */
  refreshes(since: number, old: Secret | null): Promise<number>
}

/** A drill that goes on after one of its processes died: nobody watched meanwhile. */
export interface Resumed {
  /** Since when this process goes on, in milliseconds since the epoch. */
  readonly at: number
  /** One died before step 5 was judged: its times went on while nobody looked. */
  readonly isUnjudged: boolean
  /** The same moment of the last time that the connection was not seen to be back by then; null where it was. */
  readonly unrecoveredAt: number | null
  /** One died within step 5: a refresh of the platform's may have been under way that nobody saw the end of. */
  readonly inDetection: boolean
  /** The platform said that it needs its owner when the drill was gone on with, with step 5 not judged. */
  readonly gaveUp: boolean
}

/**
 * What a drill has learned so far. Holds no secret; kept from step to step, and over a crash.
 * Times are milliseconds since the epoch.
 */
export interface DrillMemory {
  startedAt: number
  before: PlatformSnapshot | null
  liveBefore: number | null
  /** The live grants of the user and the app before, where the provider lists them. */
  grantsBefore: readonly Fingerprint[] | null
  /** The grant with which the connection came back; null where it is not known. */
  ownGrant: Fingerprint | null
  /** Codes that the platform was given and did not take, or of which its answer was lost. */
  codesLost: number
  /** Those of them that the platform refused for sure; records of old have none. */
  codesRefused?: number
  /** Grants that the faults so far may have left, which nobody holds; records of old have none. */
  leftByFaults?: number
  others: Readonly<Record<string, ConnectionState>>
  /** Those of them that answered a call; records of old have none. */
  othersAnswering?: readonly string[]
  revokedAt: number | null
  /** What the provider made of it, `no` where that was shown; not there before it was seen. */
  effect?: 'yes' | 'no' | 'unknown'
  /** The fault that was injected last, until a call shows that the connection is well after it. */
  hurt: { readonly fault: string; readonly at: number } | null
  /** When the provider first refused the old access token. */
  deadAt: number | null
  /** Whether the old access token is expected, or was seen, to outlive what was revoked. */
  accessSurvives: boolean
  /** When a call through the platform first failed as it should. */
  failedAt: number | null
  /** When the platform first said itself that the connection needs its owner. */
  unhealthyAt: number | null
  notifiedAt: number | null
  /** When a call through the platform first worked again. */
  recoveredAt: number | null
  /** The connection came back without anybody's consent. */
  healedAlone: boolean
  reconnected: boolean
  /**
   * A call was seen to go well since it came back, and no refresh of the drill's own is under way; records of old
   * have none.
   */
  seenWell?: boolean
  appliedBy: string | null
  /** Set where a process of the drill died. */
  resumed?: Resumed
  /** How often what had come back was lost with a process that died, or was replaced while the drill was dead. */
  cameBackAnew?: number
  /** Set where the drill died in step 3, and its platform holds other tokens since, which work: it revokes no more. */
  revocationPast?: true | undefined
  /** Set where the connection was disconnected while the drill was dead: nothing can bring it back. */
  disconnected?: true
  refreshAttempts: number | null
  /** How many notices of the death step 7 saw; not there where not all that came since would be the drill's. */
  deathNotices?: number | undefined
  /** How often the drill enabled what the platform had disabled: each lock has a notice of its own. */
  locksLifted?: number
  duplicateNotices: number | null
}

/** Secrets of a running drill; none is ever written but sealed. */
export interface DrillSecrets {
  old: HeldTokens | null
  link: ReconnectLink | null
  callback: Callback | null
  /** Those that the platform was given: an emulator tells which grant each brought. */
  codes: readonly Secret[]
}

/** The handles of a simulated drill: emulators, another person, and our own vault from within. */
export interface DrillLab {
  readonly provider: EmulatorControl
  /** Of an emulated account; null where our own vault is drilled. */
  readonly account: EmulatorControl | null
  /** The re-authentication of an instance of it as the command does it, which compares the grants; else null. */
  readonly reauthorize: Reauthorize | null
  /** Another person who logs in; null where none is known. */
  readonly stranger: Consent | null
  readonly vault: VaultLab | null
}

/** Gives an instance what comes from a link to the callback. */
export type Reauthorize = (
  instance: string,
  consent: (link: ReconnectLink) => Promise<Callback>,
  signal?: AbortSignal,
) => Promise<Applied>

/** Our own vault from within. */
export interface VaultLab {
  readonly connection: string
  readonly leaseMs: number
  readonly inbox: NoticeInbox
  /** Lets every write of new tokens fail, or no more. */
  failWrites(isFailing: boolean): void
  /** How many writes failed so. */
  failedWrites(): number
  /** The vault as another process has it. */
  another(wish?: { readonly clockOffsetMs?: number; readonly isDying?: boolean }): Vault
}

/** What the steps of a drill work with. */
export interface DrillContext {
  readonly platform: Platform
  readonly direct: DirectWay
  readonly consent: Consent
  readonly rules: DrillRules
  readonly witness: Witness | null
  readonly clock: Clock
  readonly fingerprint: (secret: Secret) => Fingerprint
  readonly signal: AbortSignal | undefined
  /** What faults are injected with; in simulated mode alone. */
  readonly lab: DrillLab | null
  readonly memory: DrillMemory
  readonly secrets: DrillSecrets
  /** Takes secrets out of all evidence from now on. */
  keepOut(...secrets: readonly (Secret | null)[]): void
  /** Puts memory and secrets on the disk, the secrets sealed. */
  save(): void
}

export function emptySecrets(): DrillSecrets {
  return { old: null, link: null, callback: null, codes: [] }
}

export function emptyMemory(startedAt: number): DrillMemory {
  return {
    startedAt,
    before: null,
    liveBefore: null,
    grantsBefore: null,
    ownGrant: null,
    codesLost: 0,
    others: {},
    revokedAt: null,
    hurt: null,
    deadAt: null,
    accessSurvives: false,
    failedAt: null,
    unhealthyAt: null,
    notifiedAt: null,
    recoveredAt: null,
    healedAlone: false,
    reconnected: false,
    appliedBy: null,
    refreshAttempts: null,
    duplicateNotices: null,
  }
}
