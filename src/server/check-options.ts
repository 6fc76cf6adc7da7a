import { RescindError } from '../core/errors.ts'
import type { AuthorityOptions } from './authority.ts'
import { checkKeys, checkShape, isObject, type KeyCheck, optional } from './check-shape.ts'
import type { CoreOptions } from './core.ts'
import { ACCESS_TOKEN_CASCADES, DEFAULT_LIFETIMES, type Lifetimes } from './options.ts'
import { SIGNING_ALGS } from './signing-keys.ts'

const KEY_BYTES = 32
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

const FUNCTION: KeyCheck = {
  isGood: (value) => typeof value === 'function',
  needs: 'must be a function',
}
const OBJECT: KeyCheck = { isGood: isObject, needs: 'must be an object' }
const LIST: KeyCheck = { isGood: Array.isArray, needs: 'must be a list' }
/** Is looked at by a check of its own. */
const ANYTHING: KeyCheck = { isGood: () => true, needs: '' }

function oneOf(values: readonly string[]): KeyCheck {
  return {
    isGood: (value) => (values as readonly unknown[]).includes(value),
    needs: `must be one of ${values.join(', ')}`,
  }
}

const OPTIONS = {
  issuer: ANYTHING,
  store: {
    isGood: (value) =>
      isObject(value) &&
      [value.commit, value.changeToken, value.readAsked].every((one) => typeof one === 'function'),
    needs: 'must be a store, as openSqliteAuthorityStore(path) opens one',
  },
  key: ANYTHING,
  tokenBrand: optional({
    isGood: (value) => typeof value === 'string' && /^[a-z0-9]{1,16}$/.test(value),
    needs: 'must be 1 to 16 lower case letters and digits',
  }),
  lifetimes: optional(OBJECT),
  accessTokenCascade: optional(oneOf(ACCESS_TOKEN_CASCADES)),
  signingAlg: optional(oneOf(SIGNING_ALGS)),
  clock: optional(OBJECT),
  random: optional(FUNCTION),
  onTrouble: optional(FUNCTION),
  certificates: optional(OBJECT),
  observer: optional(OBJECT),
  authorize: optional(FUNCTION),
  adminKeys: optional(LIST),
  globalRevocation: optional(OBJECT),
  webhooks: optional(LIST),
} as const satisfies Readonly<Record<keyof AuthorityOptions, KeyCheck>>

/**
 * Refuses options that are none, misspelt ones too: what is not said is decided otherwise than was meant.
 *
 * @throws RescindError `usage`, `key_invalid`
 */
export function checkOptions(options: CoreOptions): void {
  checkShape(options, OPTIONS, 'The option')
  const key: unknown = options.key
  if (key instanceof Uint8Array && key.length === KEY_BYTES) return
  throw new RescindError('key_invalid', `An authority needs a key of ${KEY_BYTES} bytes ("key").`)
}

/**
 * Returns the issuer as it was given, to the letter: clients compare it (RFC 8414 section 3.3).
 *
 * @throws RescindError `usage`, `url_invalid`, `url_plain_http`
 * @see https://www.rfc-editor.org/rfc/rfc8414#section-2
 */
export function checkIssuer(issuer: string | undefined): string {
  if (typeof issuer !== 'string' || issuer === '') {
    throw new RescindError('usage', 'An authority needs its issuer, as "issuer": an https URL.')
  }
  if (!/^https?:\/\/[\x21-\x7e]+$/.test(issuer) || !URL.canParse(issuer)) {
    throw new RescindError(
      'url_invalid',
      `The issuer "${issuer}" is not a URL that begins with https:// and has no spaces.`,
    )
  }
  const { protocol, hostname } = new URL(issuer)
  if (/^\w+:\/\/[^/?#]*@/.test(issuer)) {
    throw new RescindError('url_invalid', 'The issuer must have no user and no password in it.')
  }
  if (protocol !== 'https:' && !LOOPBACK.has(hostname)) {
    throw new RescindError(
      'url_plain_http',
      `The issuer ${issuer} must be https; plain http is for loopback alone.`,
    )
  }
  if (/[?#]/.test(issuer)) {
    throw new RescindError(
      'url_invalid',
      `The issuer ${issuer} must have no query and no fragment.`,
    )
  }
  return issuer
}

/**
 * Returns all lifetimes.
 *
 * @throws RescindError `usage` for one that is no time
 */
export function checkLifetimes(given: Partial<Lifetimes> = {}): Lifetimes {
  checkKeys(given, DEFAULT_LIFETIMES)
  const lifetimes = { ...DEFAULT_LIFETIMES, ...given }
  for (const [name, seconds] of Object.entries(lifetimes)) {
    if (!Number.isFinite(seconds) || seconds < 0 || (seconds === 0 && name !== 'refreshGrace')) {
      throw new RescindError(
        'usage',
        `The lifetime "${name}" must be a number of seconds above zero.`,
      )
    }
  }
  return lifetimes
}
