import { randomFillSync } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAuthority } from '../../src/server/authority.ts'
import { mountNode } from '../../src/server/mounts/node.ts'
import { createTokenFormat } from '../../src/server/token-format.ts'
import type { AuthorityStore, TokenRow } from '../../src/store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import type { Host, HostInput } from './host.ts'

const KEY = new Uint8Array(32).fill(5)
const CLIENT = 'bench'
const HOUR_MS = 3_600_000
/** Tokens written in one change. */
const CHUNK = 5_000

/** The authority, with some tokens in its store. */
export async function rescindHost(input: HostInput): Promise<Host> {
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
  const sampleFile = join(folder, `sample-${input.kind}-${process.pid}`)
  if (!(await authority.clients.get(CLIENT))) {
    const grantTypes = ['client_credentials' as const]
    const { secret } = await authority.clients.add({ id: CLIENT, scope: 'read write', grantTypes })
    writeFileSync(secretFile, secret?.reveal() ?? '')
  }
  if (input.tokens > 0) writeFileSync(sampleFile, (await fill(store, input)).join('\n'))
  if (!existsSync(secretFile)) throw new Error('The client of an older run has no secret here.')
  return {
    ...{ clientId: CLIENT, clientSecret: readFileSync(secretFile, 'utf8'), sampleFile },
    paths: { revoke: '/revoke', introspect: '/introspect', token: '/token' },
    listener: mountNode(authority.handle),
  }
}

async function openPostgres(connectionString: string): Promise<AuthorityStore> {
  const { openPostgresAuthorityStore } = await import('../../src/store/authority/postgres.ts')
  return openPostgresAuthorityStore({ connectionString })
}

/** Writes tokens by the thousand, and returns some of them, in random order. */
async function fill(store: AuthorityStore, { tokens, sample }: HostInput): Promise<string[]> {
  const format = createTokenFormat(KEY)
  const now = Date.now()
  const grantId = await store.reserveIds(1)
  const grant = {
    ...{ id: grantId, clientId: CLIENT, userId: null, sessionId: null, scope: 'read write' },
    ...{ createdAt: now, expiresAt: now + 48 * HOUR_MS, detail: null },
  }
  await store.commit({ type: 'start_grant', grant, tokens: [], events: [] })
  const kept: string[] = []
  for (let done = 0; done < tokens; done += CHUNK) {
    const count = Math.min(CHUNK, tokens - done)
    const first = await store.reserveIds(count)
    const rows = Array.from({ length: count }, (_, index): TokenRow => {
      const id = first + index
      const { text, hash } = format.write('access', id, randomFillSync(new Uint8Array(24)))
      if (Math.random() < (1.02 * sample) / tokens) kept.push(text)
      const expiresAt = now + 24 * HOUR_MS + done + index
      return { id, kind: 'access', hash, grantId, issuedAt: now, expiresAt, detail: null }
    })
    await store.commit({ type: 'add_tokens', grantId, tokens: rows, events: [] })
  }
  for (let index = kept.length - 1; index > 0; index -= 1) {
    const other = Math.floor(Math.random() * (index + 1))
    ;[kept[index], kept[other]] = [kept[other] as string, kept[index] as string]
  }
  return kept.slice(0, sample)
}
