import { hash, timingSafeEqual, X509Certificate } from 'node:crypto'
import { createMemo } from '../../core/memo.ts'
import type { WireAnswer, WireRequest } from '../../core/wire.ts'
import { checkShape, type KeyCheck } from '../check-shape.ts'
import { type Client, isPublic } from '../client-settings.ts'
import { secretHash } from '../clients.ts'
import type { Core } from '../core.ts'
import { type Refusal, refuse } from '../refusal.ts'
import { refusalAnswer, throttledAnswer } from './answers.ts'
import { ASSERTION_TYPE, claimedClient, isAssertionGood } from './assertion.ts'
import { decode, type Form } from './form.ts'
import type { Throttle } from './throttle.ts'
import { type IsTrusted, readTrustedProxies } from './trusted-proxies.ts'

/** Headers whose parts are remembered, and how long one may be. */
const HEADERS_MAX = 1_000
const HEADER_LENGTH_MAX = 1_024

/** A proxy that ends TLS, and may say which certificate the client showed. */
export interface CertificateHeader {
  /** Its name; it holds the certificate as PEM, percent-encoded (nginx: `$ssl_client_escaped_cert`). */
  readonly header: string
  /** The addresses of the proxies that are believed, or ranges: `10.0.0.0/8`. */
  readonly trustedProxies: readonly string[]
}

/** Where certificates are read from, and of whom. */
export interface CertificateSource {
  /** In lower case, as requests have it. */
  readonly header: string
  readonly isTrusted: IsTrusted
}

export interface ClientAuthParts {
  readonly core: Core
  readonly throttle: Throttle
  /** What an assertion may be addressed to: the issuer and the endpoints. */
  readonly audiences: readonly string[]
  readonly certificates: CertificateSource | undefined
}

/** What a request presents as its client's proof; one mechanism, or the request is refused. */
export type Presented =
  | PresentedSecret
  | { readonly type: 'assertion'; readonly clientId: string; readonly assertion: string }
  | { readonly type: 'id'; readonly clientId: string }

export interface PresentedSecret {
  readonly type: 'basic' | 'post'
  readonly clientId: string
  readonly secretHash: Uint8Array
  /** The client, as it was read, that this is known to be a secret of, and until which moment it is. */
  provenFor?: { readonly client: Client; readonly until: number }
}

export type Authenticated = { readonly client: Client } | { readonly answer: WireAnswer }

const FAILURE: Authenticated = {
  answer: refusalAnswer(refuse('invalid_client', 'Client authentication failed.')),
}

/** Authenticates clients: by Basic, by the body, by an assertion, by a certificate, or by the id alone where public. */
export interface ClientAuth {
  /** A wrong proof is told nothing of whether the client exists. */
  prove(request: WireRequest, form: Form): Promise<Authenticated>
  /**
   * The client that a request proves to be from as it was last seen, without looking it up; null when
   * that cannot be said. Nothing may be answered by it before the store has said that it is still so.
   */
  asSeen(request: WireRequest, form: Form): Client | null
}

/** @see https://www.rfc-editor.org/rfc/rfc6749#section-2.3 */
export function createClientAuth(parts: ClientAuthParts): ClientAuth {
  const { core, throttle } = parts
  const readBasic = createBasicReader()
  return {
    async prove(request, form) {
      const presented = presentedIn(request, form, readBasic)
      if (presented === null) return FAILURE
      if ('error' in presented) return { answer: refusalAnswer(presented) }
      const { clientId, type } = presented
      const client = await core.clients.get(clientId)
      // Before the throttle is asked: whoever guesses must not lock out the client that knows.
      if (client?.enabled && (await isProven(parts, request, presented, client))) return { client }
      // An id alone guesses at nothing.
      if (type === 'id') return FAILURE
      const wait = throttle.failed(clientId, request.address)
      return wait > 0 ? { answer: throttledAnswer(wait) } : FAILURE
    },
    asSeen(request, form) {
      const presented = presentedIn(request, form, readBasic)
      // An assertion is good once: it is kept for the proof that counts.
      if (presented === null || 'error' in presented || presented.type === 'assertion') return null
      const client = core.clients.seen(presented.clientId)
      return client?.enabled && isProven(parts, request, presented, client) === true ? client : null
    },
  }
}

/** Reads what is presented. Judges only the form of it. */
function presentedIn(
  request: WireRequest,
  form: Form,
  readBasic: (header: string) => Presented | null,
): Presented | Refusal | null {
  const header = request.header('authorization')
  const [secret, assertion, bodyId] = [
    form.get('client_secret'),
    form.get('client_assertion'),
    form.get('client_id'),
  ]
  if (header !== undefined) {
    if (secret !== undefined || assertion !== undefined) {
      return refuse('invalid_request', 'The client authenticates in more than one way.')
    }
    const basic = readBasic(header)
    if (basic && bodyId !== undefined && bodyId !== basic.clientId) {
      return refuse('invalid_request', 'The header and the body name different clients.')
    }
    return basic
  }
  if (assertion !== undefined) {
    if (secret !== undefined) {
      return refuse('invalid_request', 'The client authenticates in more than one way.')
    }
    const clientId = claimedClient(assertion)
    if (form.get('client_assertion_type') !== ASSERTION_TYPE || clientId === null) return null
    if (bodyId !== undefined && bodyId !== clientId) return null
    return { type: 'assertion', clientId, assertion }
  }
  if (bodyId === undefined) return null
  return secret === undefined
    ? { type: 'id', clientId: bodyId }
    : { type: 'post', clientId: bodyId, secretHash: hashOf(secret) }
}

/**
 * Remembers what headers said, by their hashes: a client sends the same one again and again, and hashing
 * it is half the work of reading it. What is kept has no secret in it.
 */
function createBasicReader() {
  const known = createMemo<string, Presented>(HEADERS_MAX)
  return (header: string): Presented | null => {
    const name = hash('sha256', header, 'binary')
    const before = known.get(name)
    if (before !== undefined) return before
    const presented = parseBasic(header)
    if (presented === null || header.length > HEADER_LENGTH_MAX) return presented
    known.set(name, presented)
    return presented
  }
}

function hashOf(secret: string): Uint8Array {
  return Buffer.from(secretHash(secret))
}

/** Id and secret are form-encoded each before they are joined (RFC 6749 section 2.3.1). */
function parseBasic(header: string): Presented | null {
  const credentials = /^basic +([A-Za-z0-9+/]+=*)$/i.exec(header)?.[1]
  if (credentials === undefined) return null
  const bytes = Buffer.from(credentials, 'base64')
  const colon = bytes.indexOf(':')
  if (colon < 1) return null
  // A slice of one text would keep the whole of it alive, with the secret.
  const clientId = decode(bytes.toString('utf8', 0, colon))
  const secret = decode(bytes.toString('utf8', colon + 1))
  return clientId && secret ? { type: 'basic', clientId, secretHash: hashOf(secret) } : null
}

function isProven(
  { core, audiences, certificates }: ClientAuthParts,
  request: WireRequest,
  presented: Presented,
  client: Client,
): boolean | Promise<boolean> {
  const now = core.clock.now()
  switch (presented.type) {
    case 'basic':
    case 'post':
      return client.authMethod.startsWith('client_secret') && isSecretGood(presented, client, now)
    case 'assertion':
      return (
        client.authMethod === 'private_key_jwt' &&
        isAssertionGood(presented.assertion, client, {
          audiences: [...audiences],
          store: core.store,
          now,
        })
      )
    case 'id':
      if (isPublic(client)) return true
      return (
        client.authMethod === 'self_signed_tls_client_auth' &&
        hasCertificate(request, client, certificates)
      )
  }
}

function isSecretGood(presented: PresentedSecret, client: Client, now: number): boolean {
  const { provenFor } = presented
  if (provenFor?.client === client && now < provenFor.until) return true
  const secret = client.secrets.find(({ hash: stored, expiresAt }) => {
    const isCurrent = expiresAt === null || expiresAt > now
    const bytes = Buffer.from(stored)
    return (
      isCurrent &&
      bytes.length === presented.secretHash.length &&
      timingSafeEqual(bytes, presented.secretHash)
    )
  })
  if (secret) presented.provenFor = { client, until: secret.expiresAt ?? Infinity }
  return secret !== undefined
}

/** @see https://www.rfc-editor.org/rfc/rfc8705#section-2.2 */
function hasCertificate(
  request: WireRequest,
  client: Client,
  certificates: CertificateSource | undefined,
): boolean {
  const thumbprint = shownThumbprint(request, certificates)
  return thumbprint !== null && client.certificates.includes(thumbprint)
}

/** The thumbprint of the certificate that a trusted proxy says the client showed; null where none does. */
export function shownThumbprint(
  request: WireRequest,
  certificates: CertificateSource | undefined,
): string | null {
  if (!certificates?.isTrusted(request.peer ?? request.address)) return null
  return thumbprintOf(request.header(certificates.header))
}

const CERTIFICATE_HEADER = {
  header: {
    isGood: (value) => typeof value === 'string' && /^[\w-]+$/.test(value),
    needs: 'must be the name of a header',
  },
  trustedProxies: {
    isGood: (value) => Array.isArray(value) && value.length > 0,
    needs:
      'must name the proxies that are believed: without any, every certificate would be refused',
  },
} as const satisfies Readonly<Record<keyof CertificateHeader, KeyCheck>>

/**
 * Reads which header of which proxies has certificates.
 *
 * @throws RescindError `usage`
 */
export function readCertificateHeader(given: CertificateHeader): CertificateSource {
  checkShape(given, CERTIFICATE_HEADER, 'Of the option certificates, the key')
  const { header, trustedProxies } = given
  return { header: header.toLowerCase(), isTrusted: readTrustedProxies(trustedProxies) }
}

/** Returns the SHA-256 thumbprint of a certificate, base64url; null when the text is none. */
export function thumbprintOf(escapedPem: string | undefined): string | null {
  if (escapedPem === undefined) return null
  try {
    const { fingerprint256 } = new X509Certificate(decodeURIComponent(escapedPem))
    return Buffer.from(fingerprint256.replaceAll(':', ''), 'hex').toString('base64url')
  } catch {
    // Whatever a proxy sent that is no certificate proves nothing.
    return null
  }
}
