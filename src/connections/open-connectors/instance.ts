import { z } from 'zod'
import { Secret } from '../../core/secret.ts'
import type { Identity } from '../../providers/connection-way.ts'
import { type Configuration, configurationOf, plainIn, secretIn } from './configuration.ts'

/** Tags are strings in lists, and objects in one sample of an answer to a create. */
const tag = z.union([z.string(), z.object({ name: z.string() }).transform(({ name }) => name)])

/** Short samples omit much; what is unknown stays in the body, for PUT sends it back whole. */
const wireInstance = z.looseObject({
  id: z.union([z.int().positive(), z.string().regex(/^\d+$/).transform(Number)]),
  name: z.string().nullish(),
  token: z.string().nullish(),
  element: z.looseObject({ key: z.string() }).nullish(),
  tags: z.array(tag).nullish(),
  valid: z.boolean().nullish(),
  disabled: z.boolean().nullish(),
  configuration: z.record(z.string(), z.unknown()).nullish(),
})

/** An instance as the platform shows it, secrets in their type. */
export interface Instance {
  readonly id: number
  readonly name: string
  /** Names the instance in calls through it; null where the answer left it out. */
  readonly token: Secret | null
  readonly elementKey: string | null
  readonly tags: readonly string[]
  /** Null where the answer left it out, as short ones do. */
  readonly disabled: boolean | null
  /** What the platform says of it. Kept to be shown, never believed: samples contradict themselves. */
  readonly valid: boolean | null
  readonly configuration: Configuration
  /** The answer as it came, for the PUT that wants all of it. */
  readonly body: Secret
}

/** Reads an instance; undefined when the value is none. */
export function readInstance(value: unknown): Instance | undefined {
  const parsed = wireInstance.safeParse(value)
  if (!parsed.success) return undefined
  const { id, name, token, element, tags, valid, disabled, configuration } = parsed.data
  return {
    id,
    name: name ?? '',
    token: token ? new Secret(token) : null,
    elementKey: element?.key ?? null,
    tags: tags ?? [],
    disabled: disabled ?? null,
    valid: valid ?? null,
    configuration: configurationOf(configuration ?? {}),
    body: new Secret(JSON.stringify(value)),
  }
}

/** The pair of tokens at the provider, which the platform shows in the clear. */
export function tokensOf({ configuration }: Instance): {
  readonly access: Secret | null
  readonly refresh: Secret | null
} {
  return {
    access: secretIn(configuration, 'oauth.user.token'),
    refresh: secretIn(configuration, 'oauth.user.refresh_token'),
  }
}

/** The end of Salesforce's identity URL: organization, then user. */
const IDENTITY_PATH = /\/id\/([\w-]+)\/([\w-]+)\/?$/

/** Who the instance's grant belongs to: Salesforce's identity URL holds org and user. */
export function identityOf({ configuration }: Instance): Identity | null {
  const url = plainIn(configuration, 'sfdc.user.id.url')
  const [, org, user] = IDENTITY_PATH.exec(url ?? '') ?? []
  if (org === undefined || user === undefined) return null
  return { org, user, name: plainIn(configuration, 'sfdc.user.display.name') }
}

/** The scopes, which elements separate by spaces or by commas. */
export function scopesOf({ configuration }: Instance): readonly string[] {
  const text = plainIn(configuration, 'oauth.scope') ?? ''
  return text.split(/[\s,]+/).filter((scope) => scope !== '')
}
