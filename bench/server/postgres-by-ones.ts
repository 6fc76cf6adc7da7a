import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pool } from 'pg'
import type { Host, HostInput } from './host.ts'

/** What a server does that commits each revocation by itself: a hash, one UPDATE, one commit. */
export async function postgresByOnes({ place, tokens, sample }: HostInput): Promise<Host> {
  const pool = new Pool({ connectionString: place, max: 16 })
  await pool.query(`CREATE TABLE IF NOT EXISTS by_ones
    (hash bytea PRIMARY KEY, client text NOT NULL, revoked_at timestamptz)`)
  const kept = Array.from({ length: Math.max(tokens, sample) }, () => randomUUID())
  for (let at = 0; at < kept.length; at += 5_000) {
    await pool.query("INSERT INTO by_ones SELECT unnest($1::bytea[]), 'bench'", [
      kept.slice(at, at + 5_000).map(hashOf),
    ])
  }
  const folder = join(tmpdir(), 'rescind-bench-by-ones')
  mkdirSync(folder, { recursive: true })
  const sampleFile = join(folder, `sample-${process.pid}`)
  writeFileSync(sampleFile, kept.slice(0, sample).join('\n'))
  const sql = {
    name: 'revoke',
    text: 'UPDATE by_ones SET revoked_at = now() WHERE hash = $1 AND client = $2',
  }
  return {
    ...{ clientId: 'bench', clientSecret: 'bench', sampleFile },
    paths: { revoke: '/revoke', introspect: '/introspect', token: '/token' },
    listener: async (request, response) => {
      const token = new URLSearchParams(await textOf(request)).get('token') ?? ''
      await pool.query({ ...sql, values: [hashOf(token), 'bench'] })
      response.writeHead(200).end()
    },
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts).toString('utf8')
}
