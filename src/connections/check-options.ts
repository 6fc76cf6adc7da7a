import { z } from 'zod'
import { RescindError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'
import { parseEndpoint } from '../core/url.ts'
import { GRANT_CHANGES } from './grant-change.ts'
import type { OpenConnectionsOptions } from './open.ts'

const text = z.string('must be a text').min(1, 'must not be empty')
const textOrNone = z.string('must be a text').optional()
const isSecret = (value: unknown) => value instanceof Secret && !value.isEmpty
const secret = z.custom(isSecret, 'must be a Secret that is not empty: new Secret(text)')
const secretOrNone = z.custom(
  (value) => value === null || isSecret(value),
  'must be a Secret that is not empty, or null for a public client',
)
const OBJECT = 'must be an object'

const tenant = z.strictObject(
  {
    provider: text,
    url: text,
    app: z.strictObject(
      {
        ...{ clientId: text, clientSecret: secretOrNone, redirectUri: text },
        scopes: z.array(text, 'must be a list of texts'),
        options: z.record(z.string(), z.unknown(), OBJECT).optional(),
      },
      OBJECT,
    ),
  },
  OBJECT,
)

const SHAPE = z.strictObject(
  {
    home: text,
    key: textOrNone,
    vaultKeys: z.strictObject({ current: textOrNone, previous: textOrNone }, OBJECT).optional(),
    clock: z.custom((value) => typeof value === 'object' && value !== null, OBJECT).optional(),
    tenants: z.record(z.string(), tenant, 'must be an object: tenants by their names'),
    basePath: textOrNone,
    acceptChanges: z
      .array(z.enum(GRANT_CHANGES, `must be of ${GRANT_CHANGES.join(', ')}`), 'must be a list')
      .optional(),
    webhooks: z
      .array(
        z.strictObject(
          { url: text, secret, from: z.number('must be a number').optional() },
          OBJECT,
        ),
        'must be a list',
      )
      .optional(),
    onTrouble: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
  } satisfies Readonly<Record<keyof OpenConnectionsOptions, z.ZodType>>,
  'must be an object',
)

/**
 * Refuses options that are none, misspelt ones too, and addresses that no token may be sent to.
 *
 * @throws RescindError `usage`, `url_invalid`, `url_plain_http`
 */
export function checkOptions(options: OpenConnectionsOptions): void {
  const parsed = SHAPE.safeParse(options)
  if (!parsed.success) throw refused(parsed.error.issues[0] as z.core.$ZodIssue)
  for (const [name, { url, app }] of Object.entries(options.tenants)) {
    parseEndpoint(url, `tenants.${name}.url`)
    parseEndpoint(app.redirectUri, `tenants.${name}.app.redirectUri`)
  }
}

/** Says where it is and what it must be; never what it is, for that may be a secret. */
function refused(issue: z.core.$ZodIssue): RescindError {
  const at = issue.path.map(String).join('.')
  const place = at === '' ? 'The options of openConnections' : `The option ${at}`
  if (issue.code === 'unrecognized_keys') {
    const [unknown = ''] = issue.keys
    const inside = at === '' ? '' : ` in ${at}`
    return new RescindError(
      'usage',
      `openConnections knows no option ${JSON.stringify(unknown)}${inside}.`,
    )
  }
  return new RescindError('usage', `${place} ${issue.message}.`)
}
