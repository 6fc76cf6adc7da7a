/** When a mark or a setting is looked at again of which something is still there that it killed, at the earliest. */
export const MARK_LOOK_MS = 24 * 3_600_000

/**
 * Settings of one mark that are kept for their time whatever they killed: the youngest, also for grants that
 * are being started. Of older ones those alone stay that killed a grant first.
 */
export const SETTINGS_KEPT = 100

/**
 * What the authority asks of a store. Every row but a client's and a note's is written once and never
 * changed: a token or a grant ends by one row of its own, whose key is the compare-and-set.
 *
 * ```
 *            issue               spend (code, refresh)
 *   ─────────────────▶ live ───────────────────────────▶ used ── presented again ──▶ its grant is ended
 *                       │
 *                       └──── end_token ────▶ revoked        a token is dead as well when its grant has ended,
 *                                                            when a mark on its client, user or session is
 *                                                            younger than the grant, or when it has expired
 * ```
 *
 * Invariants, which the contract suite checks on every store:
 * 1. A change is applied whole or not at all, and is on disk when `commit` resolves.
 * 2. Of any number of changes that end one token or one grant, exactly one is `done`.
 * 3. No token is added to a grant that is dead when the change is applied.
 * 4. The events of a change are there if and only if the change is.
 * 5. What has ended is forgotten together with its row, when that has expired: no sooner, and without a clean-up job.
 *    A grant is forgotten with its last token, and takes no token from then on.
 * 6. A mark is seen by every look-up that begins after its commit resolved, on every process. It kills the
 *    grants that were started before, and those whose request had read the epoch before, however late they start.
 * 7. A mark is kept as long as a grant is there that it killed, and not much longer.
 *    So is each of its settings by which a grant died first; of others, some of the youngest, for as long as
 *    they were told. One with a moment is kept as long as any grant could live that was there, and not made
 *    where an older one kills all that it does.
 * 8. A client that is disabled holds nothing from before: it is never read as disabled without its mark.
 */
export interface AuthorityStore {
  /** Where it is, for messages: a path or a host, never with a password. */
  readonly place: string
  /** Reserves ids that no other process gets; returns the first. Ids grow, roughly, with time. */
  reserveIds(count: number): Promise<number>
  /** Reads a token with all that decides whether it is alive. */
  readToken(id: number): Promise<TokenView | null>
  readGrant(id: number): Promise<GrantView | null>
  readClient(id: string): Promise<ClientRow | null>
  /**
   * Reads the present epoch: no mark that is set from now on is as old, and every one whose commit has
   * resolved is. Who starts a grant reads it first of all.
   */
  readEpoch(): Promise<number>
  /** Reads a token and the client that asks about it together. */
  readAsked(asked: TokenAsked): Promise<AskedRows>
  listClients(): Promise<readonly ClientRow[]>
  /** Applies one change, durably. Changes that arrive together share one flush to disk. */
  commit(change: Change): Promise<Committed>
  /**
   * Looks a token and the client that asks up, and applies what `decide` makes of them, durably; with
   * null nothing is changed. When another change comes between, it conflicts. What `decide` sees is on
   * disk when this resolves.
   *
   * @param decide no more than a judgement: it may be asked again, and must not wait
   */
  changeToken(
    asked: TokenAsked,
    decide: (found: AskedRows) => Change | null,
  ): Promise<Committed | null>
  /**
   * Counts what a revocation would kill now: tokens that are alive, and the grants that have one.
   *
   * @param before only grants created before this moment; null for all
   */
  countReach(reach: CountedReach, now: number, before: number | null): Promise<ReachCount>
  /** Lists the grants of a reach that have a live token, oldest first. */
  listGrants(reach: Reach, now: number, after: number, limit: number): Promise<readonly GrantView[]>
  /** Lists events after a position, oldest first, in an order that never fills in behind the reader. */
  readEvents(after: string | null, limit: number): Promise<readonly EventRow[]>
  /** When the oldest event after a position happened, also one that no reader is shown yet; null when there is none. */
  oldestEventAt(after: string | null): Promise<number | null>
  /** Lists the events of one millisecond: that in which a token, a grant or a reach ended. */
  eventsAt(at: number, limit: number): Promise<readonly EventRow[]>
  /**
   * Reads by what of some marks a grant died first, while that may be there: of each the first setting
   * that is younger than its birth, and the first with a moment after its making. No more are read,
   * however many there are.
   */
  readMarks(
    keys: readonly string[],
    grant: Pick<GrantView, 'born' | 'createdAt'>,
  ): Promise<readonly MarkRow[]>
  readNote(key: string): Promise<Note | null>
  /** Waits for what is under way, once; from then on every other call is refused. */
  close(): Promise<void>
}

export type TokenKind = 'code' | 'access' | 'refresh'

export interface TokenRow {
  readonly id: number
  readonly kind: TokenKind
  /** The keyed hash of the token's secret, 16 bytes. */
  readonly hash: Uint8Array
  readonly grantId: number
  /** Milliseconds since the epoch, as all moments here. */
  readonly issuedAt: number
  readonly expiresAt: number
  /** What is particular to this token, as JSON; null when nothing is. */
  readonly detail: string | null
}

/** How a token ended before its time. */
export interface TokenEnd {
  readonly state: 'used' | 'revoked'
  readonly at: number
  /** The refresh token that took its place. */
  readonly successorId: number | null
}

export interface GrantRow {
  readonly id: number
  readonly clientId: string
  /** Null for a client that acts for itself. */
  readonly userId: string | null
  readonly sessionId: string | null
  /** Scopes, separated by spaces, as in RFC 6749 section 3.3. */
  readonly scope: string
  readonly createdAt: number
  /** No token of the grant outlives it. It is forgotten sooner, with its last token. */
  readonly expiresAt: number
  readonly detail: string | null
}

export interface GrantView extends GrantRow {
  /** The epoch at which the request for it began: no mark up to it kills the grant, and every younger one does. */
  readonly born: number
  readonly endedAt: number | null
  readonly marks: Marks
}

/** The youngest marks on what a grant hangs on: its client, user, both, session, and everything. */
export interface Marks {
  /** Grants born before this number are dead. */
  readonly epoch: number
  /** Grants created before this moment are dead. */
  readonly before: number
}

export interface TokenView extends TokenRow {
  readonly end: TokenEnd | null
  readonly grant: GrantView
}

/** One setting of a mark. */
export interface MarkRow extends Marks {
  readonly key: string
  /** When it was set. */
  readonly at: number
}

/** What one revocation reaches. */
export type Reach =
  | { readonly type: 'all' }
  | { readonly type: 'client'; readonly clientId: string }
  | { readonly type: 'user'; readonly userId: string }
  | { readonly type: 'user_client'; readonly userId: string; readonly clientId: string }
  | { readonly type: 'session'; readonly sessionId: string }

/** What can be counted: a reach of marks, or one grant. */
export type CountedReach = Reach | { readonly type: 'grant'; readonly grantId: number }

export interface ReachCount {
  readonly grants: number
  readonly tokens: number
}

export interface ClientRow {
  readonly id: string
  /** Settings and hashes of secrets, as JSON. */
  readonly settings: string
  readonly enabled: boolean
  readonly version: number
}

/** A value that the authority remembers under a name: keys, cursors, the issuer. */
export interface Note {
  readonly value: string
  readonly version: number
}

export interface NewEvent {
  readonly at: number
  readonly type: string
  /** What brought it about, in one word: `revocation_endpoint`, `refresh_reuse`, … */
  readonly cause: string
  /** Who: `client:ID`, `admin`, `user:ID`, `system`. */
  readonly actor: string
  readonly clientId: string | null
  readonly userId: string | null
  readonly grantId: number | null
  readonly sessionId: string | null
  /** The fingerprint of the token that it is about. */
  readonly token: string | null
  /** The request that caused it, as the host names requests. */
  readonly request: string | null
  readonly detail: string | null
}

export interface EventRow extends NewEvent {
  /** Stable and unique in a store. */
  readonly id: string
  /** Where a reader goes on: give it as `after`. */
  readonly position: string
}

export type Change =
  /**
   * Starts a grant, with its first tokens; conflicts when it is there already: it was sent before. One that
   * a mark has overtaken is written, and dead.
   */
  | {
      readonly type: 'start_grant'
      readonly grant: GrantRow
      /** The epoch that was read when the request for it began: it is born then, or now if that is less. */
      readonly began: number
      readonly tokens: readonly TokenRow[]
      readonly events: readonly NewEvent[]
    }
  /** Adds tokens to a grant; conflicts when the grant is dead or forgotten, or the tokens are there already. */
  | {
      readonly type: 'add_tokens'
      readonly grantId: number
      readonly tokens: readonly TokenRow[]
      readonly events: readonly NewEvent[]
    }
  /** Uses up a code or a refresh token and adds what it is changed into; conflicts when it has ended, or its grant is dead. */
  | {
      readonly type: 'spend_token'
      readonly tokenId: number
      readonly grantId: number
      readonly successorId: number | null
      readonly at: number
      readonly tokens: readonly TokenRow[]
      readonly events: readonly NewEvent[]
    }
  /** Revokes one token; conflicts when it has ended already. */
  | {
      readonly type: 'end_token'
      readonly tokenId: number
      readonly at: number
      readonly events: readonly NewEvent[]
    }
  /** Revokes a grant with all its tokens; conflicts when it has ended already, or its last token is long expired. */
  | {
      readonly type: 'end_grant'
      readonly grantId: number
      readonly at: number
      readonly events: readonly NewEvent[]
    }
  /** Revokes everything of a reach: all its grants, or those created before a moment. */
  | {
      readonly type: 'mark'
      readonly reach: Reach
      readonly before: number | null
      readonly at: number
      /**
       * Before this moment it is not forgotten, nor while a grant is there that it killed. Requests that it
       * overtook are over by then; and where it has a moment or is on everything, so are their grants.
       */
      readonly keepUntil: number
      readonly events: readonly NewEvent[]
    }
  /** Writes a client; conflicts when its version is another (null: when it exists). */
  | {
      readonly type: 'put_client'
      readonly client: Omit<ClientRow, 'version'>
      readonly expected: number | null
      readonly events: readonly NewEvent[]
    }
  /**
   * Disables a client and revokes all that it holds, as a mark does; conflicts when it is not there, or
   * is disabled already.
   */
  | {
      readonly type: 'disable_client'
      readonly clientId: string
      readonly at: number
      /** As of a mark. */
      readonly keepUntil: number
      readonly events: readonly NewEvent[]
    }
  /** Writes a note; conflicts when its version is another (null: when it exists). */
  | {
      readonly type: 'put_note'
      readonly key: string
      readonly value: string
      readonly expected: number | null
      readonly events: readonly NewEvent[]
    }
  /** Uses up a name once, the `jti` of an assertion; conflicts when it was used before. */
  | { readonly type: 'use_once'; readonly key: string; readonly keepUntil: number }
  /** Writes down what happened without a transition. */
  | { readonly type: 'log'; readonly events: readonly NewEvent[] }

export type Committed = 'done' | 'conflict'

/** A token, and the client that asks about it. */
export interface TokenAsked {
  readonly tokenId: number
  readonly clientId: string
}

/** Both of them; null where one is not there. */
export interface AskedRows {
  readonly token: TokenView | null
  readonly client: ClientRow | null
}

/** The name of a mark, and of every mark that a grant hangs on. */
export function markKey(reach: Reach): string {
  switch (reach.type) {
    case 'all':
      return 'a'
    case 'client':
      return `c:${reach.clientId}`
    case 'user':
      return `u:${reach.userId}`
    case 'user_client':
      // A space ends the client: no client id has one.
      return `x:${reach.clientId} ${reach.userId}`
    case 'session':
      return `s:${reach.sessionId}`
  }
}

/** What a mark of a name reaches. */
export function reachOfKey(key: string): Reach {
  const name = key.slice(2)
  switch (key[0]) {
    case 'c':
      return { type: 'client', clientId: name }
    case 'u':
      return { type: 'user', userId: name }
    case 'x': {
      const [clientId = '', ...user] = name.split(' ')
      return { type: 'user_client', userId: user.join(' '), clientId }
    }
    case 's':
      return { type: 'session', sessionId: name }
    default:
      return { type: 'all' }
  }
}

/** The marks that a grant hangs on. */
export function markKeysOf(grant: Pick<GrantRow, 'clientId' | 'userId' | 'sessionId'>): string[] {
  const { clientId, userId, sessionId } = grant
  const keys = [markKey({ type: 'all' }), markKey({ type: 'client', clientId })]
  if (userId !== null) {
    keys.push(markKey({ type: 'user', userId }), markKey({ type: 'user_client', userId, clientId }))
  }
  if (sessionId !== null) keys.push(markKey({ type: 'session', sessionId }))
  return keys
}

/** Says whether a grant takes no more tokens, whatever the time. */
export function isGrantDead({ endedAt, born, createdAt, marks }: GrantView): boolean {
  return endedAt !== null || marks.epoch > born || createdAt < marks.before
}
