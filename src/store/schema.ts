import type { Generated } from 'kysely'
import type { Outcome } from '../core/outcome.ts'
import type { Proof } from '../core/proof.ts'

/** Booleans are 0 and 1, times are milliseconds since the epoch, sealed columns are bytes. */
type Flag = 0 | 1

/** What the store remembers. One typed schema for every database behind it. */
export interface Schema {
  meta: { key: string; value: string }
  credential: {
    tenant: string
    name: string
    sealed: Uint8Array
    version: number
    state: 'ready' | 'refreshing' | 'needs_login'
    lease_until: number | null
    updated_at: number
    why: string | null
  }
  inventory: InventoryTable
  inventory_user: {
    inventory: number
    id: string
    name: string
    display_name: string | null
    active: Flag | null
    frozen: Flag | null
    type: string | null
    profile: string | null
    last_login_at: number | null
  }
  inventory_app: {
    inventory: number
    id: string
    label: string
    kind: string
    match: string
    installed: Flag | null
    admin_approved: Flag | null
    reaches: string
    comeback: string
    comeback_why: string
  }
  token: TokenTable
  plan: PlanTable
  plan_kill: {
    plan: number
    seq: number
    kind: 'token' | 'user_app' | 'app'
    app: string | null
    user: string | null
    token: string | null
    count: number
    rule: string
  }
  plan_token: {
    plan: number
    fingerprint: string
    verdict: 'kill' | 'spare' | 'undecided'
    kill: number | null
    rule: string
    reason: string | null
  }
  run: RunTable
  /** The journal: a row a kill, copied from the plan, and one for each finer kill of a split one. */
  run_kill: {
    run: number
    seq: number
    kind: 'token' | 'user_app' | 'app'
    app: string | null
    user: string | null
    token: string | null
    state: 'planned' | 'intent' | 'answered'
    attempts: number
    outcome: Outcome | null
    code: string | null
    intent_at: number | null
    answered_at: number | null
  }
  run_token: {
    run: number
    fingerprint: string
    kill: number
    proof: Proof
    proof_at: number | null
    evidence: string | null
    /** When it was last seen in the provider's list after its kill was sent. */
    seen_at: number | null
  }
  run_return: {
    run: number
    fingerprint: string
    user: string | null
    app: string | null
    seen_at: number
  }
  connection: ConnectionTable
  connection_token: {
    connection: number
    version: number
    access: Uint8Array | null
    refresh: Uint8Array | null
    predecessor: Uint8Array | null
    predecessor_until: number | null
  }
  /** Tokens of grants beside the one that a connection lives on, which may live. */
  superseded_token: {
    no: Generated<number>
    connection: number
    kind: 'access' | 'refresh'
    fingerprint: string
    sealed: Uint8Array
    /** JSON; null where nobody said whose it is. */
    identity: string | null
  }
  /** Of instances elsewhere: grants that a new one replaced or may have, which may live. */
  former_grant: { platform: string; instance: number; fingerprint: string; sealed: Uint8Array }
  connection_event: {
    seq: Generated<number>
    connection: number
    at: number
    type: string
    from: string | null
    to: string
    cause: string | null
  }
  notice: NoticeTable
  /** How far the news was told apart for a receiver; none where it has all that are kept before it. */
  notice_cursor: { receiver: string; event: number }
  reconnect: {
    state_hash: string
    connection: number
    verifier: Uint8Array
    created_at: number
    expires_at: number
    used_at: number | null
    /** Its code was sent, and not everything that it may have brought is stored; or never will be. */
    intent: 'sent' | 'lost' | null
  }
  api_key: {
    id: string
    hash: string
    name: string
    created_at: number
    revoked_at: number | null
  }
  run_event: { run: number; seq: Generated<number>; at: number; kind: string; text: string }
}

export interface ConnectionTable {
  no: Generated<number>
  id: string
  tenant: string
  provider: string
  owner: string
  /** JSON array of words. */
  tags: string
  state: string
  /** JSON of a cause. */
  cause: string | null
  /** JSON array. */
  scopes: string
  /** JSON of who it is at the provider. */
  identity: string | null
  /** JSON object of texts. */
  facts: string
  /** Of the pair of tokens. */
  version: number
  access_fingerprint: string | null
  refresh_fingerprint: string | null
  /** Of the refresh token that it was made with: once that was rotated, nobody may present it again. */
  made_fingerprint: string | null
  access_expires_at: number | null
  renew_at: number | null
  created_at: number
  changed_at: number
  checked_at: number | null
  /** When it is to be checked next; null when it is not. */
  due_at: number | null
  failures: number
  /** Grows with each intent: who holds an older one is late. */
  fence: number
  /** `sent`: a refresh is under way; `doubt`: its answer was lost; `lost`: the token is spent; `ending`: a disconnect is under way. */
  intent: 'sent' | 'doubt' | 'lost' | 'ending' | null
  intent_at: number | null
  revoked_at_provider: string | null
}

export interface NoticeTable {
  event: number
  /** Hash of its address; empty for the news itself, of which each receiver gets a row. */
  receiver: string
  connection: number
  tries: number
  next_at: number
  /** When it failed first, or was made. */
  since: number
  why: string | null
  aside: Flag
}

export interface InventoryTable {
  no: Generated<number>
  id: string
  tenant: string
  provider: string
  /** JSON of the provider's `Account`. */
  account: string
  state: 'running' | 'complete' | 'partial'
  why: string
  taken_at: number
  finished_at: number | null
  counted_before: number | null
  counted_after: number | null
  tokens: number
  users: number
  apps: number
  /** JSON: `"all"` or `{"users":[…]}`. */
  covers: string
  whole: Flag
  /** JSON array of sentences. */
  notes: string
}

export interface TokenTable {
  inventory: number
  fingerprint: string
  slice: number
  kind: 'grant' | 'session'
  handle: Uint8Array
  user: string | null
  app: string | null
  app_match: 'id' | 'label' | 'none'
  created_at: number | null
  last_used_at: number | null
  use_count: number | null
  own: Flag
}

export interface PlanTable {
  no: Generated<number>
  id: string
  hash: string
  tenant: string
  account: string
  inventory: number
  /** Canonical JSON of the policy. */
  policy: string
  policy_hash: string
  created_at: number
  chosen: number
  spared: number
  undecided: number
  untouched: number
  /** JSON array of sentences. */
  notes: string
}

export interface RunTable {
  no: Generated<number>
  id: string
  plan: number
  tenant: string
  state: 'running' | 'stopped' | 'finished'
  why: string | null
  actor: string
  started_at: number
  finished_at: number | null
  /** The process that has the run; taken over when its lease ran out. */
  holder: string | null
  lease_until: number | null
  /** Inventories that prove: the first look and the second. */
  after: number | null
  second: number | null
}
