import { connect } from 'node:net'

/** What a load measured. */
export interface Load {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** How many answers had which status. */
  readonly statuses: ReadonlyMap<number, number>
  readonly bodies: readonly string[]
}

const HEADER_END = Buffer.from('\r\n\r\n')

/**
 * Sends requests over raw sockets that stay open, the next on a connection when the last is answered.
 * An HTTP client costs more than the server that is measured; this one writes and compares bytes.
 */
export async function sendAll(
  port: number,
  requests: readonly Buffer[],
  { connections = 64, keepBodies = false } = {},
): Promise<Load> {
  const latencies = new Float64Array(requests.length)
  const statuses = new Map<number, number>()
  const bodies: string[] = []
  let next = 0
  const startedAt = performance.now()
  const drive = async () => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await new Promise<void>((resolve, reject) => {
      let current = 0
      let sentAt = 0
      let rest: Buffer | undefined
      const send = () => {
        if (next >= requests.length) {
          socket.destroy()
          return resolve()
        }
        current = next
        next += 1
        sentAt = performance.now()
        socket.write(requests[current] as Buffer)
      }
      socket.on('connect', send)
      socket.on('error', reject)
      socket.on('close', () => reject(new Error('The server closed a connection under load.')))
      socket.on('data', (part: Buffer) => {
        const bytes = rest ? Buffer.concat([rest, part]) : part
        const answer = parse(bytes)
        if (!answer) {
          rest = bytes
          return
        }
        rest = undefined
        latencies[current] = performance.now() - sentAt
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
        if (keepBodies) bodies[current] = answer.body.toString('utf8')
        send()
      })
    })
  }
  await Promise.all(Array.from({ length: connections }, drive))
  const seconds = (performance.now() - startedAt) / 1000
  const sorted = latencies.toSorted()
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0
  return { perSecond: requests.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99), statuses, bodies }
}

function parse(bytes: Buffer): { status: number; body: Buffer } | null {
  const end = bytes.indexOf(HEADER_END)
  if (end < 0) return null
  const head = bytes.toString('latin1', 0, end)
  const status = Number(head.slice(9, 12))
  const length = /content-length: *(\d+)/i.exec(head)?.[1]
  if (length === undefined) {
    if (status === 204) return { status, body: Buffer.alloc(0) }
    // Chunked: the servers here end a small body with its last chunk in one packet.
    return bytes.subarray(-5).toString('latin1') === '0\r\n\r\n'
      ? { status, body: bytes.subarray(end + 4) }
      : null
  }
  const whole = end + 4 + Number(length)
  return bytes.length >= whole ? { status, body: bytes.subarray(end + 4, whole) } : null
}

/** Returns the bytes of a form POST with HTTP Basic. */
export function formPost(
  path: string,
  client: { id: string; secret: string },
  body: string,
): Buffer {
  const credentials = Buffer.from(`${client.id}:${client.secret}`).toString('base64')
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic ${credentials}\r\n` +
      `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}
