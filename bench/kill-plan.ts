/** External client apps are killed by whole apps; spared, so that every token is one call. */
export const SPARED_APPS: readonly string[] = ['Gainsight Connector', 'Klue Battlecards']
/** The app that the client logs in with; its own tokens are spared by the self-kill guard. */
export const CLIENT_APP = 'Warehouse Export'

/** What one run of the client says of itself. */
export interface KillRound {
  readonly planned: number
  readonly dead: number
  /** Planned tokens that are sessions, which the org counts apart from grants. */
  readonly sessions: number
  /** Kills of the main batch: all but the canary. */
  readonly kills: number
  /** From the end of the canary to the last answer. */
  readonly seconds: number
  /** Of the whole run: canary, kills, and the fresh inventory that proves them. */
  readonly secondsWithProof: number
  /** The limit that was in force, over the time of the main batch. */
  readonly meanConcurrency: number
  /** User and system time of the main batch. */
  readonly cpuMsPerKill: number
}
