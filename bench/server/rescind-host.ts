import { randomFillSync } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAuthority } from '../../src/server/authority.ts'
import { mountNode } from '../../src/server/mounts/node.ts'
import { createTokenFormat } from '../../src/server/token-format.ts'
import type {
  AuthorityStore,
  Change,
  GrantRow,
  TokenRow,
} from '../../src/store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import type { Host, HostInput } from './host.ts'
import { sampleOf } from './sample.ts'

const KEY = new Uint8Array(32).fill(5)
export const CLIENT = 'bench'
const HOUR_MS = 3_600_000
/** Tokens written together. */
const CHUNK = 5_000
/** Tokens of one user's grant. */
const GRANT_TOKENS = 10
/** Log-outs that are remembered: with any of them, each look-up asks for those on its own grant. */
const MARKS = 1_000

/** The authority as a server. */
export async function rescindHost(input: HostInput): Promise<Host> {
  const { authority, clientSecret, sampleFile } = await openRescind(input)
  return {
    ...{ clientId: CLIENT, clientSecret, sampleFile },
    paths: { revoke: '/revoke', introspect: '/introspect', token: '/token' },
    listener: mountNode(authority.handle),
  }
}

/** The authority, with some tokens in its store. */
export async function openRescind(input: HostInput) {
  const isFile = input.kind === 'sqlite'
  const folder = isFile ? input.place : '/tmp'
  mkdirSync(folder, { recursive: true })
  const store = isFile
    ? await openSqliteAuthorityStore(join(folder, 'authority.db'))
    : await openPostgres(input.place)
  const authority = await createAuthority({
    issuer: 'http://127.0.0.1:9',
    ...{ store, key: KEY },
    lifetimes: { accessToken: 86_400 },
  })
  const secretFile = join(folder, `secret-${input.kind}`)
  const isFilled = input.tokens > 0
  const sampleFile = isFilled ? join(folder, `sample-${input.kind}-${process.pid}`) : ''
  if (!(await authority.clients.get(CLIENT))) {
    const grantTypes = ['client_credentials' as const]
    const { secret } = await authority.clients.add({ id: CLIENT, scope: 'read write', grantTypes })
    writeFileSync(secretFile, secret?.reveal() ?? '')
  }
  if (isFilled) writeFileSync(sampleFile, (await fill(store, input)).join('\n'))
  if (!existsSync(secretFile)) throw new Error('The client of an older run has no secret here.')
  return { authority, clientSecret: readFileSync(secretFile, 'utf8'), sampleFile }
}

async function openPostgres(connectionString: string): Promise<AuthorityStore> {
  const { openPostgresAuthorityStore } = await import('../../src/store/authority/postgres.ts')
  return openPostgresAuthorityStore({ connectionString })
}

/** Writes grants of some tokens each, and marks as log-outs leave them; returns some tokens, in random order. */
async function fill(store: AuthorityStore, { tokens, sample }: HostInput): Promise<string[]> {
  const format = createTokenFormat(KEY)
  const now = Date.now()
  await Promise.all(Array.from({ length: MARKS }, (_, index) => markSession(store, index, now)))
  const began = await store.readEpoch()
  const kept: string[] = []
  for (let done = 0; done < tokens; done += CHUNK) {
    const count = Math.min(CHUNK, tokens - done)
    const first = await store.reserveIds(2 * count)
    const changes: Change[] = []
    for (let index = 0; index < count; index += GRANT_TOKENS) {
      const grantId = first + count + index
      const rows = Array.from({ length: GRANT_TOKENS }, (_, offset): TokenRow => {
        const id = first + index + offset
        const { text, hash } = format.write('access', id, randomFillSync(new Uint8Array(24)))
        if (Math.random() < (1.02 * sample) / tokens) kept.push(text)
        const expiresAt = now + 24 * HOUR_MS + done + index
        return { id, kind: 'access', hash, grantId, issuedAt: now, expiresAt, detail: null }
      })
      const grant = grantRow(grantId, now)
      changes.push({ type: 'start_grant', grant, began, tokens: rows, events: [] })
    }
    await Promise.all(changes.map((change) => store.commit(change)))
  }
  return sampleOf(kept, sample)
}

function grantRow(id: number, now: number): GrantRow {
  return {
    ...{ id, clientId: CLIENT, userId: `user-${id}`, sessionId: `session-${id}` },
    ...{ scope: 'read write', createdAt: now, expiresAt: now + 48 * HOUR_MS, detail: null },
  }
}

function markSession(store: AuthorityStore, index: number, at: number) {
  return store.commit({
    ...{ type: 'mark', reach: { type: 'session', sessionId: `gone-${index}` }, before: null, at },
    ...{ keepUntil: at + 48 * HOUR_MS, events: [] },
  })
}
