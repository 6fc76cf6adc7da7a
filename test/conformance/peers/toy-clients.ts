import { CERTIFICATE } from '../../support/client-certificate.ts'

export const TOY_SECRET = 'a-secret-of-the-toy'

/** Where the toy has the certificate of a client from its proxy. */
export const CERTIFICATE_HEADER = 'x-client-cert'

/** The clients, and how each authenticates. */
export const TOY_CLIENTS: Readonly<Record<string, string>> = {
  c1: 'client_secret_basic',
  c2: 'client_secret_basic',
  cp: 'client_secret_post',
  cm: 'tls_client_auth',
  p1: 'none',
  p2: 'none',
  rs1: 'client_secret_basic',
}

interface Refused {
  readonly status: number
  readonly code: string
}

const invalidClient: Refused = { status: 401, code: 'invalid_client' }

/** Returns who asks, or why nobody does. @see RFC 6749 section 2.3 */
export function authenticateToy(
  request: Request,
  form: URLSearchParams,
  takesAnySecret: boolean,
): string | Refused {
  const header = request.headers.get('authorization')
  const [id, secret] = header === null ? fromForm(form) : fromBasic(header)
  if (header !== null && form.has('client_secret')) return { status: 400, code: 'invalid_request' }
  const method = id === undefined ? undefined : TOY_CLIENTS[id]
  if (id === undefined || method === undefined) return invalidClient
  if (method === 'tls_client_auth') {
    const isGood = request.headers.get(CERTIFICATE_HEADER) === encodeURIComponent(CERTIFICATE)
    return isGood || takesAnySecret ? id : invalidClient
  }
  if (method === 'none') return secret === undefined ? id : invalidClient
  return secret === TOY_SECRET || takesAnySecret ? id : invalidClient
}

function fromForm(form: URLSearchParams): [string | undefined, string | undefined] {
  return [form.get('client_id') ?? undefined, form.get('client_secret') ?? undefined]
}

function fromBasic(header: string): [string | undefined, string | undefined] {
  const [, text = ''] = /^Basic ([A-Za-z0-9+/=]+)$/.exec(header) ?? []
  const [id, ...rest] = Buffer.from(text, 'base64').toString('utf8').split(':')
  const decode = (part: string) => new URLSearchParams(`v=${part}`).get('v') ?? ''
  return rest.length === 0 ? [undefined, undefined] : [decode(id ?? ''), decode(rest.join(':'))]
}
