import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** One delivery, as a receiver by Standard Webhooks sees it. */
export interface Delivery {
  readonly id: string
  readonly type: string
  readonly isSigned: boolean
  readonly body: { readonly timestamp: string; readonly data: Readonly<Record<string, unknown>> }
  readonly raw: string
}

/** What the receiver does with a request. */
export type Manner =
  | 'take'
  | 'hang'
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | ((delivery: Delivery) => Answer | Promise<Answer>)

type Answer =
  | 'take'
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }

/** A receiver of webhooks on a real socket, which can misbehave, stop and come back. */
export interface Receiver extends AsyncDisposable {
  readonly url: string
  /** All that came, taken or not. */
  readonly seen: Delivery[]
  /** The ids of what it answered 200 to, in order. */
  readonly taken: string[]
  manner: Manner
  stop(): Promise<void>
  restart(): Promise<void>
}

/** @param secret base64, without its prefix */
export async function openReceiver(secret: string): Promise<Receiver> {
  const seen: Delivery[] = []
  const taken: string[] = []
  const onRequest = async (request: IncomingMessage, response: ServerResponse) => {
    const delivery = deliveryIn(request, await text(request), secret)
    seen.push(delivery)
    const told = receiver.manner
    const manner = typeof told === 'function' ? await told(delivery) : told
    if (manner === 'hang') return
    if (manner === 'take') {
      taken.push(delivery.id)
      response.end()
      return
    }
    response.writeHead(manner.status, { ...manner.headers }).end()
  }
  let server: Server
  let port = 0
  const start = async () => {
    server = createServer((request, response) => {
      onRequest(request, response).catch(() => response.destroy())
    }).listen(port, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  }
  const stop = async () => {
    if (!server.listening) return
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  await start()
  const receiver: Receiver = {
    ...{ url: `http://127.0.0.1:${port}/hook`, seen, taken, stop, restart: start },
    manner: 'take',
    [Symbol.asyncDispose]: stop,
  }
  return receiver
}

/** @see https://www.standardwebhooks.com */
function deliveryIn({ headers }: IncomingMessage, raw: string, secret: string): Delivery {
  const id = String(headers['webhook-id'])
  const signed = `${id}.${headers['webhook-timestamp']}.${raw}`
  const digest = createHmac('sha256', Buffer.from(secret, 'base64')).update(signed).digest('base64')
  const isSigned = String(headers['webhook-signature']).split(' ').includes(`v1,${digest}`)
  const body = JSON.parse(raw)
  return { id, type: body.type, isSigned, body, raw }
}
