import { join, resolve } from 'node:path'
import { z } from 'zod'
import { RescindError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'
import {
  ACCESS_TOKEN_CASCADES,
  type AccessTokenCascade,
  type Lifetimes,
} from '../server/options.ts'
import { SIGNING_ALGS, type SigningAlg } from '../server/signing-keys.ts'
import { isProxy, PROXY_NEEDS } from '../server/wire/trusted-proxies.ts'
import { isAddress, POSTGRES_URL } from '../store/authority/database-url.ts'

const DURATION = /^(\d+) *(s|m|h|d)$/
const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }
/** SHA-256 in base64url or hex: what may stand in a file for a key. */
const KEY_HASH = /^([\w-]{43}|[0-9a-f]{64})$/i

const TIME_WANTED = 'write a time with its unit, like 10m or 30d'
const ADDRESS_WANTED = 'write an address and a port, like 127.0.0.1:9400'

const duration = z.string(TIME_WANTED).regex(DURATION, TIME_WANTED)
/** An address and a port, as a file has them. */
export const address = z
  .string(ADDRESS_WANTED)
  .regex(/^([^\s/:]+|\[[\da-f:.]+\]):\d{1,5}$/i, ADDRESS_WANTED)

/** The section `authority` of `rescind.yaml`. */
export const authoritySchema = z
  .strictObject({
    issuer: z
      .string('write the issuer identifier, like https://login.example.com')
      .describe('The issuer identifier: https://login.example.com'),
    listen: address
      .default('127.0.0.1:9400')
      .describe('Where it listens; a proxy that ends TLS stands before it'),
    metrics: z
      .union([address, z.literal(false, 'false')])
      .default('127.0.0.1:9464')
      .describe('Where Prometheus reads its metrics; false for nowhere'),
    store: z
      .string()
      .optional()
      .describe(
        'An SQLite file (default: authority.db in the home), or ${env:NAME} with a PostgreSQL URL',
      ),
    lifetimes: z
      .strictObject({
        code: duration.optional(),
        accessToken: duration.optional(),
        refreshToken: duration.optional(),
        grant: duration.optional(),
        refreshGrace: duration.optional(),
      })
      .default({})
      .describe('How long things live, like 10m or 30d'),
    accessTokenCascade: z
      .enum(ACCESS_TOKEN_CASCADES)
      .default('token')
      .describe('What an access token takes down when it is revoked'),
    signingAlg: z.enum(SIGNING_ALGS).default('ES256'),
    tokenBrand: z
      .string()
      .regex(/^[a-z0-9]{1,16}$/, 'write 1 to 16 lower case letters and digits')
      .optional()
      .describe('What tokens begin with'),
    adminKeys: z
      .array(z.string())
      .default([])
      .describe('Keys of the admin endpoints, each as ${env:NAME}, ${file:path}, or its SHA-256'),
    trustedProxies: z
      .array(z.string().refine(isProxy, PROXY_NEEDS))
      .default([])
      .describe(
        'Addresses of proxies whose X-Forwarded-For is believed, or ranges like 10.0.0.0/8',
      ),
    certificateHeader: z
      .string()
      .regex(/^[A-Za-z0-9-]+$/, 'write the name of a header')
      .optional()
      .describe('The header in which a trusted proxy gives the certificate of a client'),
    webhooks: z
      .array(z.strictObject({ url: z.string(), secret: z.string() }))
      .default([])
      .describe('Receivers of events; each secret as ${env:NAME} or ${file:path}'),
    globalRevocation: z
      .array(z.strictObject({ name: z.string(), key: z.string() }))
      .default([])
      .describe('Callers of Global Token Revocation, by their keys'),
    eventsKept: duration.default('30d').describe('How long events are kept'),
  })
  .refine(
    ({ certificateHeader, trustedProxies }) =>
      certificateHeader === undefined || trustedProxies.length > 0,
    {
      path: ['certificateHeader'],
      message:
        'name in trustedProxies the proxies that are believed: without any, every certificate is refused',
    },
  )
export type AuthoritySection = z.output<typeof authoritySchema>

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** Where the authority keeps its rows. */
export type AuthorityPlace =
  | { readonly type: 'sqlite'; readonly path: string }
  | { readonly type: 'postgres'; readonly url: Secret }

/** The section `authority`, read; its keys and secrets are, when they are used. */
export interface AuthorityConfig {
  readonly issuer: string
  readonly listen: ListenAddress
  readonly metrics: ListenAddress | null
  readonly place: AuthorityPlace
  readonly lifetimes: Partial<Lifetimes>
  readonly accessTokenCascade: AccessTokenCascade
  readonly signingAlg: SigningAlg
  readonly tokenBrand: string | undefined
  /** Keys, or the hashes of keys. */
  readonly adminKeys: readonly (Secret | string)[]
  readonly trustedProxies: readonly string[]
  readonly certificateHeader: string | undefined
  readonly webhooks: readonly { readonly url: string; readonly secret: Secret }[]
  readonly globalRevocation: readonly { readonly name: string; readonly key: Secret | string }[]
  readonly eventsKeptMs: number
}

/** Where the section stands, for its paths and its messages. */
export interface SectionPlace {
  /** The configuration file. */
  readonly path: string
  readonly folder: string
  readonly home: string
  /** Fills in `${env:NAME}` and `${file:path}`. */
  fill(value: unknown, at: string): unknown
}

/**
 * Reads the section `authority`.
 *
 * @throws RescindError `config_invalid`, also when a key or a secret is used that is not there
 */
export function readAuthority(section: AuthoritySection, where: SectionPlace): AuthorityConfig {
  const { lifetimes, eventsKept } = section
  const seconds = Object.entries(lifetimes).flatMap(([name, text]) =>
    text === undefined ? [] : [[name, secondsOf(text)] as const],
  )
  return {
    issuer: plain(where.fill(section.issuer, 'authority.issuer')),
    listen: addressOf(section.listen),
    metrics: section.metrics === false ? null : addressOf(section.metrics),
    place: placeOf(section.store, where),
    lifetimes: Object.fromEntries(seconds),
    accessTokenCascade: section.accessTokenCascade,
    signingAlg: section.signingAlg,
    tokenBrand: section.tokenBrand,
    trustedProxies: section.trustedProxies,
    certificateHeader: section.certificateHeader?.toLowerCase(),
    eventsKeptMs: secondsOf(eventsKept) * 1000,
    // Looked for when they are used: who revokes in an incident may have none of them at hand.
    get adminKeys() {
      return section.adminKeys.map((key, nth) => keyOf(key, `adminKeys ${nth + 1}`, where))
    },
    get webhooks() {
      return section.webhooks.map(({ url, secret }, nth) => ({
        url,
        secret: secretOf(secret, `webhooks ${nth + 1}: secret`, where),
      }))
    },
    get globalRevocation() {
      return section.globalRevocation.map(({ name, key }, nth) => ({
        name,
        key: keyOf(key, `globalRevocation ${nth + 1}: key`, where),
      }))
    },
  }
}

function placeOf(store: string | undefined, where: SectionPlace): AuthorityPlace {
  if (store === undefined) return { type: 'sqlite', path: join(where.home, 'authority.db') }
  const filled = where.fill(store, 'authority.store')
  const text = plain(filled)
  if (!POSTGRES_URL.test(text)) {
    if (!isAddress(text)) return { type: 'sqlite', path: resolve(where.folder, text) }
    throw new RescindError(
      'config_invalid',
      `${where.path}: authority.store is an address that begins neither with postgres:// nor with postgresql://. Check how it begins; an SQLite file is named by its path.`,
    )
  }
  if (!(filled instanceof Secret) && URL.canParse(text) && new URL(text).password !== '') {
    throw new RescindError(
      'config_invalid',
      `${where.path}: authority.store has a password in it. Put the address in a variable, and write store: \${env:NAME}.`,
    )
  }
  return { type: 'postgres', url: new Secret(text) }
}

/** A key, by a reference; or its hash, which may stand in the file. */
function keyOf(key: string, at: string, where: SectionPlace): Secret | string {
  return KEY_HASH.test(key) ? key : secretOf(key, at, where)
}

function secretOf(text: string, at: string, where: SectionPlace): Secret {
  const filled = where.fill(text, `authority.${at}`)
  if (filled instanceof Secret) return filled
  throw new RescindError(
    'config_invalid',
    `${where.path}: authority.${at} is a secret that stands in the file. Name where it is: \${env:NAME} or \${file:path}.`,
  )
}

export function addressOf(text: string): ListenAddress {
  const colon = text.lastIndexOf(':')
  return {
    host: text.slice(0, colon).replace(/^\[(.*)\]$/, '$1'),
    port: Number(text.slice(colon + 1)),
  }
}

function secondsOf(text: string): number {
  const [, count = '0', unit = 's'] = DURATION.exec(text) ?? []
  return Number(count) * (UNIT_SECONDS[unit] ?? 1)
}

function plain(value: unknown): string {
  return value instanceof Secret ? value.reveal() : String(value)
}
