import { RescindError } from '../core/errors.ts'
import { isWorthAnotherTry, type Outcome } from '../core/outcome.ts'
import type { Fingerprint } from '../core/secret.ts'
import type { Kill, KillAnswer, KillToken } from '../providers/provider.ts'
import type { JournalledKill } from '../store/run-journal.ts'
import { createBreaker } from './breaker.ts'
import type { Engine } from './engine.ts'

/** Times that one kill is sent in one pass; what still fails waits for the next pass. */
const ATTEMPTS_MAX = 6
/** The first wait before a kill is sent again; doubles each time, with jitter. */
const RETRY_BASE_MS = 200
const RETRY_MS_MAX = 10_000
/** Intents are written this many kills ahead, so that no call waits for the disk. */
const AHEAD_MIN = 16
/** Handles are opened in chunks of this many kills. */
const CHUNK_KILLS = 256
/** Doubtful kills are looked at in batches of this many. */
const DOUBTS_MAX = 200
/** Calls under way when a run is stopped have this long to end. */
const GRACE_MS = 15_000

/** Why a pass ended. */
export interface PassEnd {
  /** Set when the breaker stopped it. */
  readonly stopped: string | undefined
}

/** One kill in the hands of a pass. */
interface Job {
  readonly kill: JournalledKill
  attempts: number
  /** Sent again not before this moment. */
  notBefore: number
}

/**
 * Sends kills until each has an answer that another try cannot better, its attempts are used up,
 * the breaker opens, or the signal is aborted. Every intent is on disk before its call; kills in
 * doubt are looked at before they are sent again.
 *
 * @throws the signal's reason when aborted, after the calls under way have ended; store errors
 */
export async function sendKills(
  engine: Engine,
  kills: readonly JournalledKill[],
  progress: Progress,
): Promise<PassEnd> {
  const pass = new Pass(engine, kills, progress)
  return pass.run()
}

/** Counts what was answered, for the person who waits. */
export interface Progress {
  readonly total: number
  readonly answered: (kill: JournalledKill, outcome: Outcome) => void
}

class Pass {
  readonly #engine: Engine
  readonly #progress: Progress
  readonly #breaker = createBreaker()
  /** To be sent, in order. */
  #queue: Job[]
  /** Sent again later, each at its time. */
  readonly #later: Job[] = []
  /** In doubt: looked at before anything else happens to them. */
  #doubts: Job[] = []
  /** Intents on disk, handles open. */
  #ready: { job: Job; kill: Kill }[] = []
  #making: Promise<void> | undefined
  readonly #underWay = new Set<Promise<void>>()
  #stopped: string | undefined
  #failure: { readonly error: unknown } | undefined
  /** Ends the calls that are still under way when a stop has waited long enough for them. */
  readonly #cutOff = new AbortController()

  constructor(engine: Engine, kills: readonly JournalledKill[], progress: Progress) {
    this.#engine = engine
    this.#progress = progress
    const jobs = kills.map((kill) => ({ kill, attempts: 0, notBefore: 0 }))
    // An intent without an answer was cut off: it may have been sent.
    this.#doubts = jobs.filter(({ kill }) => isDoubtful(kill))
    this.#queue = jobs.filter(({ kill }) => !isDoubtful(kill))
  }

  async run(): Promise<PassEnd> {
    try {
      await this.#lookAtDoubts()
      while (this.#mayGoOn() && (await this.#hasWork())) await this.#sendNext()
    } catch (error) {
      this.#failure ??= { error }
    }
    try {
      await this.#settle()
      await this.#takeBackUnsent()
      await this.#engine.journal.drain()
    } catch (error) {
      this.#failure ??= { error }
    }
    if (this.#failure) throw this.#failure.error
    this.#engine.signal.throwIfAborted()
    return { stopped: this.#stopped }
  }

  #mayGoOn(): boolean {
    return !this.#stopped && !this.#failure && !this.#engine.signal.aborted
  }

  /** Makes sure that something is ready to be sent; false when all work is done. */
  async #hasWork(): Promise<boolean> {
    for (;;) {
      this.#takeDue()
      const isLow = this.#ready.length < this.#engine.pace.limit
      if (isLow && this.#queue.length > 0) this.#startMaking()
      if (this.#ready.length > 0) return true
      if (this.#making) {
        await this.#making
        if (!this.#mayGoOn()) return false
        continue
      }
      if (this.#doubts.length >= DOUBTS_MAX) {
        await this.#lookAtDoubts()
        continue
      }
      if (this.#underWay.size > 0) {
        await Promise.race(this.#underWay)
        if (!this.#mayGoOn()) return false
        continue
      }
      if (this.#doubts.length > 0) {
        await this.#lookAtDoubts()
        continue
      }
      const next = Math.min(...this.#later.map(({ notBefore }) => notBefore))
      if (!Number.isFinite(next)) return false
      const { clock, signal } = this.#engine
      await clock.sleep(Math.max(1, next - clock.now()), signal)
    }
  }

  #takeDue(): void {
    const now = this.#engine.clock.now()
    for (let at = this.#later.length - 1; at >= 0; at--) {
      const job = this.#later[at] as Job
      if (job.notBefore > now) continue
      this.#later.splice(at, 1)
      this.#queue.push(job)
    }
  }

  /** The next kills are made ready while the ones before are sent: nobody waits for the disk. */
  #startMaking(): void {
    this.#making ??= this.#makeReady()
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => {
        this.#making = undefined
      })
  }

  /** Writes the intents of the next kills and opens their handles. */
  async #makeReady(): Promise<void> {
    const { journal, clock, pace } = this.#engine
    const size = Math.min(CHUNK_KILLS, Math.max(AHEAD_MIN, pace.limit * 2))
    const jobs = this.#queue.splice(0, size)
    const at = clock.now()
    const kills = await this.#openKills(jobs)
    await journal.write(jobs.map(({ kill }) => ({ type: 'intent', seq: kill.seq, at })))
    for (const [index, job] of jobs.entries()) {
      this.#ready.push({ job, kill: kills[index] as Kill })
    }
  }

  async #openKills(jobs: readonly Job[]): Promise<Kill[]> {
    const { store, inventory } = this.#engine
    const wanted = jobs.flatMap(({ kill }) => kill.tokens)
    const handles = await store.inventories.handles(inventory, wanted)
    return jobs.map(({ kill }) => ({
      reach: kill.reach,
      tokens: kill.tokens.flatMap((fingerprint): KillToken[] => {
        const token = handles.get(fingerprint)
        return token ? [token] : []
      }),
    }))
  }

  async #sendNext(): Promise<void> {
    const { pace, signal } = this.#engine
    await pace.acquire(signal)
    const next = this.#ready.shift()
    if (!next) throw new Error('nothing was ready to be sent')
    const call = this.#send(next.job, next.kill)
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => this.#underWay.delete(call))
    this.#underWay.add(call)
  }

  async #send(job: Job, kill: Kill): Promise<void> {
    const { pace, clock, session } = this.#engine
    const startedAt = clock.now()
    let answer: KillAnswer | undefined
    try {
      const reach = await this.#checkReach(job, kill)
      if (reach === 'grew') return
      // Not the run's signal: a call that is cut off leaves a doubt, and it ends soon by itself.
      answer = reach ?? (await session.kill(kill, this.#cutOff.signal))
    } finally {
      const failed = answer === undefined || isWorthAnotherTry(answer.outcome)
      const congested = answer?.congested ?? false
      pace.release({ startedAt, failed, congested, retryAfterMs: answer?.retryAfterMs })
    }
    this.#take(job, answer)
  }

  /**
   * A reach that cannot be read is no reason to stop, and none to send: the kill had no effect yet,
   * and is tried again.
   */
  async #checkReach(job: Job, kill: Kill): Promise<KillAnswer | 'grew' | undefined> {
    try {
      return (await this.#reachGrew(job, kill)) ? 'grew' : undefined
    } catch (error) {
      if (this.#engine.signal.aborted || !(error instanceof RescindError)) throw error
      if (error.code.startsWith('store_')) throw error
      const credentialTrouble = ['login_needed', 'not_authenticated'].includes(error.code)
      return { outcome: 'failed', code: error.code, credentialTrouble }
    }
  }

  /**
   * A coarse kill is sent only while everything that it would reach is planned. Where something
   * new stands in its way, its tokens are killed one by one instead.
   */
  async #reachGrew(job: Job, kill: Kill): Promise<boolean> {
    if (kill.reach.kind === 'token') return false
    const { session, store, run, journal, clock, signal } = this.#engine
    const planned = new Set(kill.tokens.map(({ fingerprint }) => fingerprint))
    const now = await session.reachNow(kill, signal)
    if ([...now].every((fingerprint) => planned.has(fingerprint))) return false
    const finer = await store.runs.split(run, [...planned])
    const entry = { seq: job.kill.seq, outcome: 'refused', code: 'reach_grew' } as const
    await journal.write([{ type: 'answer', at: clock.now(), ...entry }])
    for (const kill of finer) this.#queue.push({ kill, attempts: 0, notBefore: 0 })
    return true
  }

  #take(job: Job, answer: KillAnswer): void {
    const { journal, clock } = this.#engine
    const { seq } = job.kill
    const { outcome, code } = answer
    void journal
      .writeSoon([{ type: 'answer', seq, at: clock.now(), outcome, code }])
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
    this.#progress.answered(job.kill, outcome)
    this.#stopped ??= this.#breaker.judge(answer)
    job.attempts++
    if (!isWorthAnotherTry(outcome) || job.attempts >= ATTEMPTS_MAX) return
    if (outcome === 'in_doubt') this.#doubts.push(job)
    else this.#sendLater(job)
  }

  #sendLater(job: Job): void {
    const { clock, random, pace } = this.#engine
    const wait = Math.min(RETRY_MS_MAX, RETRY_BASE_MS * 2 ** job.attempts) * (0.5 + random() / 2)
    const quota = pace.mayRetry() ? 0 : RETRY_MS_MAX
    job.notBefore = clock.now() + wait + quota
    this.#later.push(job)
  }

  /** Kills in doubt whose tokens are still listed are sent again; the others are left as they are. */
  async #lookAtDoubts(): Promise<void> {
    if (this.#doubts.length === 0) return
    const { session, signal } = this.#engine
    const jobs = this.#doubts.splice(0)
    const kills = await this.#openKills(jobs)
    const tokens = kills.flatMap((kill) => kill.tokens)
    const { present, unclear } = await session.look(tokens, signal)
    const mayLive = (fingerprint: Fingerprint) =>
      present.has(fingerprint) || unclear.has(fingerprint)
    for (const job of jobs) {
      if (job.kill.tokens.some(mayLive)) this.#sendLater(job)
      else if (job.kill.state === 'intent' && job.attempts === 0) await this.#noteCutOff(job)
    }
  }

  /** A kill that was cut off before its answer was written, and whose tokens are gone. */
  async #noteCutOff({ kill }: Job): Promise<void> {
    const { journal, clock } = this.#engine
    const entry = { seq: kill.seq, outcome: 'in_doubt', code: 'cut_off' } as const
    await journal.write([{ type: 'answer', at: clock.now(), ...entry }])
    this.#progress.answered(kill, 'in_doubt')
  }

  /** Intents that were written ahead and not sent are no doubt: they are planned again. */
  async #takeBackUnsent(): Promise<void> {
    const unsent = this.#ready.splice(0)
    if (unsent.length === 0) return
    await this.#engine.journal.write(
      unsent.map(({ job }) => ({ type: 'unsent', seq: job.kill.seq })),
    )
  }

  /** Waits for the calls under way, for a while. */
  async #settle(): Promise<void> {
    await this.#making
    if (this.#underWay.size === 0) return
    const timer = setTimeout(() => this.#cutOff.abort(new Error('the run was stopped')), GRACE_MS)
    await Promise.allSettled([...this.#underWay])
    clearTimeout(timer)
  }
}

function isDoubtful({ state, outcome }: JournalledKill): boolean {
  return state === 'intent' || (state === 'answered' && outcome === 'in_doubt')
}
