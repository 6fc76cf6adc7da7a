import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../../core/clock.ts'
import { Secret } from '../../core/secret.ts'
import type { NoticeReceiver } from '../notices.ts'
import type { Notice } from './platform.ts'

/** A notice has some hundred bytes. */
const BODY_BYTES_MAX = 64 * 1024
const SECRET_BYTES = 32
/** As Standard Webhooks advises receivers. */
const AGE_S_MAX = 5 * 60

/** A receiver of webhooks on this machine, which sees what any receiver would. */
export interface NoticeInbox {
  readonly receiver: NoticeReceiver
  /** Of one connection, since a moment, each delivery by itself. */
  since(connection: string, at: number): readonly Notice[]
  /** Refuses what comes from now on, or takes it again: a receiver that is down. */
  setDown(isDown: boolean): void
  /** How many deliveries it refused so. */
  refused(): number
  close(): Promise<void>
}

interface Delivery extends Notice {
  readonly connection: string
}

/** Opens a receiver with a secret of its own. */
export async function openNoticeInbox(clock: Clock): Promise<NoticeInbox> {
  const key = randomBytes(SECRET_BYTES)
  const deliveries: Delivery[] = []
  let down = false
  let refused = 0
  const server = createServer(async (request, response) => {
    const body = await readBody(request)
    if (down) refused += 1
    if (down || body === undefined) return void response.writeHead(503).end()
    const delivery = readDelivery(request, body, key, clock.now())
    if (delivery !== undefined) deliveries.push(delivery)
    response.writeHead(delivery === undefined ? 400 : 204).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    receiver: {
      url: `http://127.0.0.1:${port}/notices`,
      secret: new Secret(`whsec_${key.toString('base64')}`),
    },
    since: (connection, at) =>
      deliveries
        .filter((one) => one.connection === connection && one.at >= at)
        .map(({ connection: _, ...notice }) => notice),
    setDown: (isDown) => {
      down = isDown
    },
    refused: () => refused,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length
    if (bytes > BODY_BYTES_MAX) return undefined
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function readDelivery(
  { headers }: IncomingMessage,
  body: string,
  key: Buffer,
  now: number,
): Delivery | undefined {
  const id = String(headers['webhook-id'] ?? '')
  const { type, data } = parse(body)
  if (id === '' || typeof type !== 'string' || typeof data?.connection !== 'string') {
    return undefined
  }
  const cause = (data.cause as { code?: unknown } | null)?.code
  return {
    id,
    at: now,
    kind: kindOf(type),
    signatureGood: isSigned(headers, body, key, now),
    cause: typeof cause === 'string' ? cause : null,
    connection: data.connection,
  }
}

function parse(body: string): { type?: unknown; data?: Record<string, unknown> } {
  try {
    return JSON.parse(body) as ReturnType<typeof parse>
  } catch {
    return {}
  }
}

/**
 * Checks a signature as a receiver would, by its own reading of the standard.
 *
 * @see https://www.standardwebhooks.com
 */
function isSigned(
  headers: IncomingMessage['headers'],
  body: string,
  key: Buffer,
  now: number,
): boolean {
  const timestamp = String(headers['webhook-timestamp'] ?? '')
  if (Math.abs(now / 1000 - Number(timestamp)) > AGE_S_MAX) return false
  const expected = createHmac('sha256', key)
    .update(`${headers['webhook-id']}.${timestamp}.${body}`)
    .digest()
  return String(headers['webhook-signature'] ?? '')
    .split(' ')
    .some((one) => {
      const given = Buffer.from(one.replace(/^v1,/, ''), 'base64')
      return given.length === expected.length && timingSafeEqual(given, expected)
    })
}

/** What an event says to a receiver. */
export function kindOf(type: string): Notice['kind'] {
  switch (type) {
    case 'connection.needs_reauth':
      return 'needs_reauth'
    case 'connection.healed':
    case 'connection.reconnected':
      return 'healed'
    case 'connection.disabled':
      return 'disabled'
    default:
      return 'other'
  }
}
