import type { Handle, WireRequest } from '../../core/wire.ts'
import { type IsTrusted, readTrustedProxies } from '../wire/trusted-proxies.ts'
import { checkHandle } from './check-handle.ts'

/** What some systems put before an IPv4 address. */
const MAPPED = /^::ffff:/i

/**
 * Returns a handle that knows clients by the address that trusted proxies give for them, so that
 * guesses at a client's secret are counted for whoever guesses, and requests by the `X-Request-Id` of
 * those. Other peers say nothing of themselves that is believed.
 *
 * @param trustedProxies addresses, or ranges as `10.0.0.0/8`, of proxies that append to `X-Forwarded-For`
 * @throws RescindError `usage` for what is neither, or no handle
 */
export function behindProxy(handle: Handle, trustedProxies: readonly string[]): Handle {
  checkHandle(handle)
  const isTrusted = readTrustedProxies(trustedProxies)
  return (request) => {
    const peer = plain(request.peer ?? request.address)
    const id = isTrusted(peer) ? request.id : undefined
    return handle({ ...request, peer, id, address: clientBehind(request, peer, isTrusted) })
  }
}

/** The last address of the chain that no trusted proxy has: what stands before it, anybody may have written. */
function clientBehind(request: WireRequest, peer: string, isTrusted: IsTrusted): string {
  if (!isTrusted(peer)) return peer
  const chain = (request.header('x-forwarded-for') ?? '')
    .split(',')
    .map((part) => plain(part.trim()))
  return chain.findLast((address) => address !== '' && !isTrusted(address)) ?? peer
}

function plain(address: string): string {
  return address.replace(MAPPED, '')
}
