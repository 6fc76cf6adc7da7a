import { RescindError } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'
import { isMasked, plainIn } from './configuration.ts'
import type { Instance } from './instance.ts'
import type { ElementApp, OpenConnectorsSettings } from './settings.ts'

/** The two keys that a new consent replaces: blanked in a PATCH, left out of a PUT. */
const TOKEN_KEYS = ['oauth.user.token', 'oauth.user.refresh_token'] as const

/** An instance to make: by the code of a consent, or from a refresh token that we hold. */
export type NewInstance = {
  readonly element: string
  readonly name: string
  readonly tags: readonly string[]
} & ({ readonly code: Secret } | { readonly refreshToken: Secret })

/** Returns the body of `POST /instances`. */
export function createBody(wish: NewInstance, app: ElementApp, callbackUrl: string): object {
  const { element, name, tags } = wish
  const configuration = {
    'oauth.callback.url': callbackUrl,
    'oauth.api.key': app.apiKey,
    'oauth.api.secret': app.apiSecret.reveal(),
    ...(app.scope === null ? {} : { 'oauth.scope': app.scope }),
  }
  const base = { element: { key: element }, name, tags }
  if ('code' in wish) {
    return { ...base, providerData: { code: wish.code.reveal() }, configuration }
  }
  return {
    ...base,
    // The first refresh replaces both tokens: no login is needed.
    externalAuthentication: 'initial',
    configuration: { ...configuration, 'oauth.user.refresh_token': wish.refreshToken.reveal() },
  }
}

/** Returns the body of the PATCH that re-authenticates: both tokens blanked, the code beside. */
export function patchBody(instance: Instance, code: Secret, callbackUrl: string): object {
  const blanked = Object.fromEntries(TOKEN_KEYS.map((key) => [key, '']))
  const configuration = { ...blanked, ...callbackChange(instance, callbackUrl) }
  return { providerData: { code: code.reveal() }, configuration }
}

/**
 * A code is redeemed with the address that it was asked for with (RFC 6749 section 4.1.3): where the
 * instance was made with another one, it is told ours.
 */
function callbackChange({ configuration }: Instance, callbackUrl: string): Record<string, string> {
  const isOurs = plainIn(configuration, 'oauth.callback.url') === callbackUrl
  return isOurs ? {} : { 'oauth.callback.url': callbackUrl }
}

/**
 * Returns the body of the PUT that re-authenticates: what GET gave, without the two tokens, with the
 * code. What the platform showed masked is put in again from our settings.
 *
 * @throws RescindError `secret_masked` for a masked value that the settings do not hold
 */
export function putBody(
  instance: Instance,
  code: Secret,
  { elements, callbackUrl }: OpenConnectorsSettings,
): object {
  const body = JSON.parse(instance.body.reveal()) as Record<string, unknown>
  const configuration = { ...(body.configuration as Record<string, unknown> | undefined) }
  for (const key of TOKEN_KEYS) delete configuration[key]
  const app = elements[instance.elementKey ?? '']
  const known: Readonly<Record<string, Secret>> =
    app === undefined ? {} : { 'oauth.api.secret': app.apiSecret, ...app.secrets }
  for (const [key, value] of Object.entries(configuration)) {
    if (typeof value === 'string' && isMasked(value))
      configuration[key] = known[key]?.reveal() ?? value
  }
  Object.assign(configuration, callbackChange(instance, callbackUrl))
  return { ...body, configuration, providerData: { code: code.reveal() } }
}

/**
 * Refuses a body in which a value is a mask: echoed, it would be stored as the secret.
 *
 * @throws RescindError `secret_masked`
 */
export function refuseMasked(body: unknown): void {
  const masked = [...maskedIn(body, '')]
  if (masked.length === 0) return
  throw new RescindError(
    'secret_masked',
    `Nothing was sent: ${masked.join(', ')} is only asterisks, and would be stored as the secret. Give the real one in rescind.yaml, under "secrets" of the element.`,
  )
}

function* maskedIn(value: unknown, at: string): Generator<string> {
  if (typeof value === 'string') {
    if (isMasked(value)) yield at || 'the body'
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      yield* maskedIn(inner, at === '' ? key : `${at}.${key}`)
    }
  }
}

/** Finds the settings of an element. @throws RescindError `config_invalid` */
export function appOf({ elements }: OpenConnectorsSettings, element: string | null): ElementApp {
  const app = Object.hasOwn(elements, element ?? '') ? elements[element ?? ''] : undefined
  if (app) return app
  throw new RescindError(
    'config_invalid',
    `There is no element "${(element ?? '').slice(0, 60)}" under openConnectors.elements in rescind.yaml. Known there: ${Object.keys(elements).join(', ') || 'none'}.`,
  )
}
