import { z } from 'zod'
import {
  DEFAULT_OPEN_CONNECTORS_SWITCHES,
  type ElementApp,
  type OpenConnectorsSettings,
} from '../connections/open-connectors/settings.ts'
import { RescindError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'
import type { SectionPlace } from './authority-config.ts'

/** What a header carries, and the client secret of RFC 6749, appendix A.2, has no more. */
const VISIBLE = /^[\x21-\x7e]+$/

const secret = (what: string) => z.string().describe(`${what}, as \${env:NAME} or \${file:path}`)

const elementSchema = z.strictObject({
  apiKey: z.string().describe('The client id of our app at the provider'),
  apiSecret: secret('Its client secret'),
  scope: z.string().optional().describe('The scopes to ask for: full refresh_token'),
  siteAddress: z
    .string()
    .optional()
    .describe('Another login host: https://test.salesforce.com for a sandbox'),
  probe: z
    .string()
    .regex(/^\/[^\s#]*$/, 'write a path, like /hubs/crm/accounts?pageSize=1')
    .describe('A cheap read through an instance: /hubs/crm/accounts?pageSize=1'),
  consentHosts: z
    .array(z.string())
    .default([])
    .describe('Hosts that a consent URL may lead to; none for any'),
  secrets: z
    .record(z.string(), z.string())
    .default({})
    .describe('Values that the platform shows masked, by their configuration key'),
})

/** The section `openConnectors` of `rescind.yaml`. */
export const openConnectorsSchema = z.strictObject({
  url: z.string().describe('https://api.openconnectors.us2.ext.hana.ondemand.com/elements/api-v2'),
  userSecret: secret('The user secret of the account'),
  organizationSecret: secret('The organization secret of the account'),
  callbackUrl: z
    .string()
    .describe('Where the provider sends the browser: http://127.0.0.1:1717/callback'),
  elements: z
    .record(z.string(), elementSchema)
    .default({})
    .describe('Our apps, by the key of the element: sfdc'),
  switches: z
    .strictObject({
      apply: z.enum(['patch-then-put', 'patch', 'put']).optional(),
      patchBy: z.enum(['token', 'id']).optional(),
      elementHeader: z.enum(['user-organization-element', 'user-element']).optional(),
      providerMessage: z.enum(['trusted', 'ignored']).optional(),
      state: z.enum(['required', 'if-echoed']).optional(),
      clientSecretInUrl: z.enum(['removed', 'kept']).optional(),
    })
    .default({})
    .describe('What the documentation leaves open; see docs/open-connectors.md'),
})
type Section = z.output<typeof openConnectorsSchema>

/**
 * Reads the section `openConnectors`.
 *
 * @throws RescindError `config_invalid`
 */
export function readOpenConnectors(section: Section, where: SectionPlace): OpenConnectorsSettings {
  const secretOf = (text: string, at: string) => secretAt(text, `openConnectors.${at}`, where)
  const credential = (text: string, at: string) => visible(secretOf(text, at), at, where)
  const elements = Object.entries(section.elements).map(([key, element]): [string, ElementApp] => {
    const secrets = Object.entries(element.secrets).map(([name, text]): [string, Secret] => [
      name,
      secretOf(text, `elements.${key}.secrets.${name}`),
    ])
    return [
      key,
      {
        apiKey: plain(where.fill(element.apiKey, `openConnectors.elements.${key}.apiKey`)),
        apiSecret: credential(element.apiSecret, `elements.${key}.apiSecret`),
        scope: element.scope ?? null,
        siteAddress: element.siteAddress ?? null,
        probePath: element.probe,
        consentHosts: element.consentHosts,
        secrets: Object.fromEntries(secrets),
      },
    ]
  })
  const switches = Object.entries(section.switches).filter(([, value]) => value !== undefined)
  return {
    userSecret: credential(section.userSecret, 'userSecret'),
    organizationSecret: credential(section.organizationSecret, 'organizationSecret'),
    url: apiUrl(plain(where.fill(section.url, 'openConnectors.url')), where),
    callbackUrl: address(section.callbackUrl, 'callbackUrl', CALLBACK_EXAMPLE, where).text,
    elements: Object.fromEntries(elements),
    switches: { ...DEFAULT_OPEN_CONNECTORS_SWITCHES, ...Object.fromEntries(switches) },
  }
}

function secretAt(text: string, at: string, where: SectionPlace): Secret {
  const filled = where.fill(text, at)
  if (filled instanceof Secret) return filled
  throw new RescindError(
    'config_invalid',
    `${where.path}: ${at} is a secret that stands in the file. Name where it is: \${env:NAME} or \${file:path}.`,
  )
}

/** Refuses what would break the request, for then nobody knows whether it was sent. */
function visible(value: Secret, at: string, { path }: SectionPlace): Secret {
  if (VISIBLE.test(value.reveal())) return value
  throw new RescindError(
    'config_invalid',
    `${path}: openConnectors.${at} is empty, or holds a space, a line break or a character that is not ASCII. Copy the secret anew.`,
  )
}

const API_PATH = '/elements/api-v2'
const URL_EXAMPLE = `https://api.openconnectors.us2.ext.hana.ondemand.com${API_PATH}`
const CALLBACK_EXAMPLE = 'http://127.0.0.1:1717/callback'

/** Every path of the API goes behind it. */
function apiUrl(text: string, where: SectionPlace): string {
  const { url } = address(text, 'url', URL_EXAMPLE, where)
  if (url.pathname !== '/' && !url.search && !url.hash) return text.replace(/\/+$/, '')
  throw new RescindError(
    'config_invalid',
    `${where.path}: openConnectors.url ends with the path of the API, and nothing behind it: ${url.origin}${API_PATH}`,
  )
}

function address(text: string, key: string, example: string, { path }: SectionPlace) {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && /^https?:$/.test(url.protocol) && !url.username && !url.password) return { url, text }
  throw new RescindError(
    'config_invalid',
    `${path}: openConnectors.${key} is no web address, or holds a user. Write it whole, like ${example}`,
  )
}

function plain(value: unknown): string {
  return value instanceof Secret ? value.reveal() : String(value)
}
