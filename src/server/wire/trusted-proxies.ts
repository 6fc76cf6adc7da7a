import { BlockList, isIP } from 'node:net'
import { RescindError } from '../../core/errors.ts'

/** What a proxy is named by: its address, or a range of them. */
export const PROXY_NEEDS = 'must be an IP address, or a range like 10.0.0.0/8'

/** Says whether an address is a trusted proxy's; of an IPv4 address that is written as IPv6, too. */
export type IsTrusted = (address: string) => boolean

/**
 * Reads the addresses and ranges of trusted proxies.
 *
 * @throws RescindError `usage` for what no address of a connection is ever equal to: a name, a port
 */
export function readTrustedProxies(given: unknown): IsTrusted {
  if (!Array.isArray(given)) {
    throw new RescindError('usage', 'The trustedProxies must be a list of IP addresses and ranges.')
  }
  const list = new BlockList()
  for (const [nth, proxy] of given.entries()) {
    if (isProxy(proxy)) add(list, proxy)
    else throw new RescindError('usage', `The trusted proxy ${nth + 1} ${PROXY_NEEDS}.`)
  }
  return (address) => isIP(address) !== 0 && list.check(address, familyOf(address))
}

/** Says whether a value is an address or a range; one that is everybody is none. */
export function isProxy(value: unknown): value is string {
  const [, address = '', bits] = /^([\da-f.:]+)(?:\/(\d{1,3}))?$/i.exec(String(value)) ?? []
  const version = isIP(address)
  if (typeof value !== 'string' || version === 0) return false
  if (bits === undefined) return true
  const isRange = Number(bits) > 0 && Number(bits) <= (version === 4 ? 32 : 128)
  return isRange && !holdsAllOfIpv4(value)
}

/** A wide range of IPv6 has in it what is written `::ffff:` before an IPv4 address. */
function holdsAllOfIpv4(range: string): boolean {
  const list = new BlockList()
  add(list, range)
  return ['0.0.0.0', '255.255.255.255'].every((address) => list.check(`::ffff:${address}`, 'ipv6'))
}

function add(list: BlockList, proxy: string): void {
  const [address = '', bits] = proxy.split('/')
  if (bits === undefined) list.addAddress(address, familyOf(address))
  else list.addSubnet(address, Number(bits), familyOf(address))
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6'
}
