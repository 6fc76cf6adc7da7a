import { randomBytes } from 'node:crypto'
import { Command, Option } from 'commander'
import type { Logger } from 'pino'
import { RescindError } from '../../core/errors.ts'
import { isLoopback, type Risk } from '../../core/url.ts'
import { type Authority, createAuthority } from '../../server/authority.ts'
import { behindProxy } from '../../server/mounts/behind-proxy.ts'
import { mountNode } from '../../server/mounts/node.ts'
import type { AuthorityConfig, ListenAddress } from '../authority-config.ts'
import type { ConnectionsConfig } from '../config.ts'
import { type Context, withContext } from '../context.ts'
import type { Io } from '../io.ts'
import { coreOptions, openAuthorityStore } from '../open-authority.ts'
import { checkTenants } from '../open-vault.ts'
import { positiveNumber } from '../option-values.ts'
import { type CommonOptions, withCommonOptions } from '../output.ts'
import { serveConnections } from '../serve/connections.ts'
import { devLogin } from '../serve/dev-login.ts'
import { type Listening, listen } from '../serve/listen.ts'
import { errorFields, LOG_LEVELS, type LogLevel, openLog } from '../serve/log.ts'
import { createMetrics, createSharedMetrics, type Metrics } from '../serve/metrics.ts'
import { metricsPage } from '../serve/metrics-page.ts'
import { watched } from '../serve/watch.ts'
import { leaveWorkers, startWorkers, workerNumber, workerSignal } from '../serve/workers.ts'

/** More processes than any machine of today has use for: a slip of the keyboard. */
const WORKERS_MAX = 128
const SESSION_BYTES = 12

interface ServeOptions extends CommonOptions {
  readonly config?: string
  readonly workers: number
  readonly devLogin?: boolean
  readonly logLevel: LogLevel
}

/** Makes `rescind serve`: the authority and the connections of `rescind.yaml`, on ports of this machine. */
export function serveCommand(io: Io): Command {
  return withCommonOptions(new Command('serve'))
    .description('run the authority of rescind.yaml, and the HTTP API of its connections')
    .option('--config <file>', 'the configuration (default: ./rescind.yaml, then ~/.rescind)')
    .option('--workers <n>', 'processes that share the port', positiveNumber, 1)
    .option('--dev-login', 'a login page that believes any name; for an issuer on this machine')
    .addOption(
      new Option('--log-level <level>', 'what is logged').choices(LOG_LEVELS).default('info'),
    )
    .action((options: ServeOptions) =>
      withContext(io, options, async (context) => {
        const worker = workerNumber()
        const log = openLog(io, options.logLevel, worker)
        // Workers share the authority's port; connections are served by the first process alone.
        const connections = worker === undefined ? context.config.connections() : undefined
        if (connections) {
          checkPlain('connections.listen', connections.listen, options.acceptRisk)
          checkTenants(context, options.acceptRisk)
        }
        if (!context.config.hasAuthority) {
          if (connections === undefined) throw nothingToServe(context.config.path)
          return serveConnectionsAlone(context, connections, log)
        }
        const config = context.config.authority()
        checkServe(config, options)
        if (worker === undefined && options.workers > 1) {
          return serveByWorkers(context, config, options, log)
        }
        return serve(context, config, options, log)
      }),
    )
}

function nothingToServe(path: string): RescindError {
  return new RescindError(
    'config_missing',
    `There is no authority in ${path}, and there are no connections: nothing is to be served. Add authority: { issuer: "http://127.0.0.1:9400" }, or connections: { listen: "127.0.0.1:9401" }`,
  )
}

/** Serves connections where there is no authority, until a signal. */
async function serveConnectionsAlone(
  context: Context,
  connections: ConnectionsConfig,
  log: Logger,
): Promise<void> {
  const { io, output } = context
  const served = await serveConnections(context, connections, log)
  try {
    output.result({ connections: served.url })
    output.say(`The connections are served at ${served.url}. Stop it with Ctrl-C.`)
    log.info({ url: served.url }, 'listening')
    await aborted(io.signal)
    log.info('stopping')
  } finally {
    await served.stop()
  }
  log.info('stopped')
}

/** Runs the authority in this process, until a signal. */
async function serve(
  context: Context,
  config: AuthorityConfig,
  options: ServeOptions,
  log: Logger,
): Promise<void> {
  const { io } = context
  const isWorker = workerNumber() !== undefined
  const signal = isWorker ? workerSignal(io) : io.signal
  const metrics = createMetrics()
  if (isWorker) createSharedMetrics()
  const authority = await openServed(context, config, options, { metrics, log })
  const opened: Listening[] = []
  try {
    const handle = behindProxy(watched(authority, metrics, log), config.trustedProxies)
    opened.push(await listen(mountNode(handle), config.listen, io.clock))
    if (!isWorker) {
      if (config.metrics) {
        opened.push(await listen(metricsPage(metrics.read), config.metrics, io.clock))
      }
      const connections = await openConnections(context, log)
      sayReady(context, config, opened, connections)
      opened.push(...connections)
    }
    log.info({ issuer: config.issuer, url: opened[0]?.url }, 'listening')
    await aborted(signal)
    log.info('stopping')
  } finally {
    await Promise.all(opened.map((listening) => listening.stop()))
    await authority.close()
    if (isWorker) leaveWorkers()
  }
  log.info('stopped')
}

/** Runs the authority in several processes, and adds up their metrics, until a signal. */
async function serveByWorkers(
  context: Context,
  config: AuthorityConfig,
  options: ServeOptions,
  log: Logger,
): Promise<void> {
  const { io } = context
  // What is wrong with the store or the options is said once, by this process.
  const first = await openServed(context, config, options, { metrics: createMetrics(), log })
  await first.close()
  const shared = createSharedMetrics()
  const opened: Listening[] = []
  const workers = await startWorkers(options.workers, workerArgs(context, options), log)
  try {
    if (config.metrics) {
      opened.push(await listen(metricsPage(shared.read), config.metrics, io.clock))
    }
    const url = `http://${urlHost(config.listen)}:${config.listen.port}`
    const connections = await openConnections(context, log)
    sayReady(context, config, [{ url, stop: async () => {} }, ...opened], connections)
    opened.push(...connections)
    await aborted(io.signal)
    log.info('stopping')
  } finally {
    await workers.stop()
    await Promise.all(opened.map((listening) => listening.stop()))
  }
  log.info('stopped')
}

async function openConnections(context: Context, log: Logger): Promise<readonly Listening[]> {
  const config = context.config.connections()
  return config ? [await serveConnections(context, config, log)] : []
}

async function openServed(
  context: Context,
  config: AuthorityConfig,
  options: ServeOptions,
  { metrics, log }: { readonly metrics: Metrics; readonly log: Logger },
): Promise<Authority> {
  const onTrouble = (error: unknown, request?: string) => {
    metrics.trouble(error)
    log.error({ request, ...errorFields(error) }, 'trouble')
  }
  const store = await openAuthorityStore(config, context.io.clock, onTrouble)
  const newSession = () => `dev-${randomBytes(SESSION_BYTES).toString('base64url')}`
  const { certificateHeader: header, trustedProxies } = config
  try {
    const authority = await createAuthority({
      ...(await coreOptions(context, config, store)),
      authorize: options.devLogin ? devLogin(newSession) : undefined,
      adminKeys: config.adminKeys,
      globalRevocation: globalRevocationOf(config),
      webhooks: config.webhooks,
      certificates: header === undefined ? undefined : { header, trustedProxies },
      observer: metrics,
      onTrouble,
    })
    if (config.webhooks.length > 0) metrics.watchWebhooks(authority.webhooks, context.io.clock)
    return authority
  } catch (error) {
    await store.close()
    throw error
  }
}

/** All users are of one tenant: the authority of a file has one issuer. */
function globalRevocationOf({ globalRevocation }: AuthorityConfig) {
  if (globalRevocation.length === 0) return undefined
  return { callers: globalRevocation.map((caller) => ({ ...caller, tenant: null })) }
}

/** Refuses what would let others in: the login that believes everybody, and plain HTTP to the world. */
function checkServe(config: AuthorityConfig, options: ServeOptions): void {
  const { issuer, listen: at, metrics } = config
  if (options.workers > WORKERS_MAX) {
    throw new RescindError('usage', `--workers takes ${WORKERS_MAX} at most.`)
  }
  const isLocal = URL.canParse(issuer) && isLoopback(new URL(issuer)) && isLoopbackAddress(at)
  if (options.devLogin && !isLocal) {
    throw new RescindError(
      'usage',
      `--dev-login lets anybody in as anybody: it is for an issuer and a "listen" on this machine alone, and not for ${issuer}. Leave it out, or take http://127.0.0.1:${at.port} as issuer.`,
    )
  }
  if (metrics?.host === at.host && metrics.port === at.port && at.port !== 0) {
    throw new RescindError(
      'config_invalid',
      `authority.listen and authority.metrics are both ${urlHost(at)}:${at.port}. Give the metrics a port of their own, or write metrics: false.`,
    )
  }
  checkPlain('authority.listen', at, options.acceptRisk)
  if (metrics) checkPlain('authority.metrics', metrics, options.acceptRisk)
}

function checkPlain(key: string, at: ListenAddress, risks: readonly Risk[] = []): void {
  if (isLoopbackAddress(at) || risks.includes('plain-http')) return
  throw new RescindError(
    'url_plain_http',
    `${key} is ${at.host}, where others can reach it by plain HTTP. Put a proxy that ends TLS on this machine, or accept it with --accept-risk=plain-http.`,
  )
}

function isLoopbackAddress(at: ListenAddress): boolean {
  const url = `http://${urlHost(at)}`
  return URL.canParse(url) && isLoopback(new URL(url))
}

function urlHost({ host }: ListenAddress): string {
  return host.includes(':') ? `[${host}]` : host
}

function workerArgs({ config }: Context, options: ServeOptions): readonly string[] {
  const risks = (options.acceptRisk ?? []).flatMap((risk) => ['--accept-risk', risk])
  return [
    ...['serve', '--config', config.path, '--log-level', options.logLevel],
    ...(options.devLogin ? ['--dev-login'] : []),
    ...(options.debug ? ['--debug'] : []),
    ...risks,
  ]
}

function sayReady(
  { output }: Context,
  { issuer }: AuthorityConfig,
  [served, metrics]: readonly Listening[],
  [connections]: readonly Listening[],
): void {
  const metricsUrl = metrics === undefined ? null : `${metrics.url}/metrics`
  const more = connections === undefined ? {} : { connections: connections.url }
  output.result({ issuer, url: served?.url, metrics: metricsUrl, ...more })
  output.say(`The authority ${issuer} listens on ${served?.url}. Stop it with Ctrl-C.`)
  if (metricsUrl !== null) output.say(`Its metrics are at ${metricsUrl}.`)
  if (connections) output.say(`The connections are served at ${connections.url}.`)
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}
