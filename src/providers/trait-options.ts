import { z } from 'zod'
import { RescindError } from '../core/errors.ts'
import type { ConnectionTraits } from './connection-way.ts'

/** What an app's `options` may say of how its tokens behave, over what its provider is known for. */
export const traitOptions = {
  rotation: z.enum(['never', 'may', 'always']).optional(),
  replayKills: z.boolean().optional(),
  graceMs: z.int().min(0).optional(),
  refreshTakesScope: z.boolean().optional(),
  liveTokensMax: z.int().min(1).nullable().optional(),
  revokeAccess: z.enum(['token', 'grant']).optional(),
  revokeRefresh: z.enum(['token', 'grant']).optional(),
  grantsApart: z.boolean().optional(),
  revokesTwice: z.enum(['refused', 'accepted']).optional(),
  residualMs: z.int().min(0).optional(),
}

/** Returns a provider's traits with what an app's options say over them. */
export function withTraitOptions(
  traits: ConnectionTraits,
  options: Readonly<Record<string, unknown>>,
): ConnectionTraits {
  const said = Object.keys(traitOptions).filter((name) => options[name] !== undefined)
  return { ...traits, ...Object.fromEntries(said.map((name) => [name, options[name]])) }
}

/** Reads an app's options. @throws RescindError `config_invalid` */
export function readAppOptions<Schema extends z.ZodType>(
  schema: Schema,
  options: Readonly<Record<string, unknown>>,
  tenant: string,
): z.output<Schema> {
  const parsed = schema.safeParse(options)
  if (parsed.success) return parsed.data
  const reasons = parsed.error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `app.options has an unknown key ${issue.keys.join(', ')}`
      : `app.options.${issue.path.join('.')} is of the wrong kind`,
  )
  throw new RescindError('config_invalid', `Tenant "${tenant}": ${reasons.join('; ')}.`)
}
