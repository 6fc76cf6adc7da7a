import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { oidcHost } from './oidc-host.ts'
import { postgresByOnes } from './postgres-by-ones.ts'
import { rescindHost } from './rescind-host.ts'

/** Where oidc-provider has its models. */
export type OidcKind = 'oidc_memory' | 'oidc_sqlite' | 'oidc_postgres'

/** What a server process is told, in the environment variable BENCH_HOST. */
export interface HostInput {
  readonly kind: 'bare' | 'sqlite' | 'postgres' | 'postgres_by_ones' | OidcKind
  /** A folder, or a connection string. */
  readonly place: string
  /** Tokens to have in the store before it listens. */
  readonly tokens: number
  /** How many of them to hand to the load, in random order. */
  readonly sample: number
}

/** What it answers, as one line. */
export interface HostOutput {
  readonly port: number
  readonly clientId: string
  readonly clientSecret: string
  /** Where the sample is: one token a line. */
  readonly sampleFile: string
  readonly paths: { readonly revoke: string; readonly introspect: string; readonly token: string }
}

/** A server, and what the load must know. */
export interface Host extends Omit<HostOutput, 'port'> {
  readonly listener: RequestListener
}

const NOTHING = { clientId: 'c', clientSecret: 's', sampleFile: '' }
const PATHS = { revoke: '/revoke', introspect: '/introspect', token: '/token' }

async function bareHost(): Promise<Host> {
  const [{ Hono }, { getRequestListener }] = await Promise.all([
    import('hono'),
    import('@hono/node-server'),
  ])
  const app = new Hono()
  app.post('*', (context) => context.body(null, 200))
  return { ...NOTHING, paths: PATHS, listener: getRequestListener(app.fetch) as RequestListener }
}

function openHost(input: HostInput): Promise<Host> {
  switch (input.kind) {
    case 'bare':
      return bareHost()
    case 'sqlite':
    case 'postgres':
      return rescindHost(input)
    case 'postgres_by_ones':
      return postgresByOnes(input)
    case 'oidc_memory':
    case 'oidc_sqlite':
    case 'oidc_postgres':
      return oidcHost(input)
  }
}

const { listener, ...rest } = await openHost(JSON.parse(process.env.BENCH_HOST ?? '') as HostInput)
const server = createServer({ keepAliveTimeout: 60_000 }, listener)
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.on('disconnect', () => process.exit(0))
process.on('message', () => {
  const status = readFileSync('/proc/self/status', 'utf8')
  process.send?.({ peakMb: Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024 })
})
process.send?.({ ...rest, port: (server.address() as AddressInfo).port })
