const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const CHECKSUM = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ012345'

/** Key prefixes by which a record id tells its object. */
export const PREFIX = {
  organization: '00D',
  account: '001',
  user: '005',
  profile: '00e',
  userLogin: '0Yw',
  connectedApplication: '0H4',
  externalClientApplication: '0xI',
  externalClientAppPolicy: '0xP',
  appMenuItem: '0DS',
  authSession: '0Ak',
  loginHistory: '0Ya',
  setupEntityAccess: '0J0',
  setupAuditTrail: '0Ym',
  permissionSet: '0PS',
  usageToken: '0ot',
  queryLocator: '01g',
  job: '750',
} as const

/** Gives the 18-character record id of the n-th record of an object. */
export function recordId(prefix: string, ordinal: number): string {
  let digits = ''
  let rest = ordinal
  for (let place = 0; place < 6; place += 1) {
    digits = BASE62[rest % 62] + digits
    rest = Math.floor(rest / 62)
  }
  return withChecksum(`${prefix}Wt0000${digits}`)
}

/** Appends the three characters that make a 15-character id safe where case is lost. */
export function withChecksum(id15: string): string {
  let suffix = ''
  for (let block = 0; block < 3; block += 1) {
    let bits = 0
    for (let at = 0; at < 5; at += 1) {
      const char = id15[block * 5 + at]!
      if (char >= 'A' && char <= 'Z') bits |= 1 << at
    }
    suffix += CHECKSUM[bits]
  }
  return id15 + suffix
}

/** Cuts an id to the 15 characters that identify it, so that both forms compare equal. */
export function shortId(id: string): string {
  return id.length === 18 ? id.slice(0, 15) : id
}
