import type { Client } from './client-settings.ts'
import { deathOf } from './judge.ts'
import type { AuthorityParts } from './options.ts'
import { type Refusal, refuse } from './refusal.ts'
import type { TokenDetail, Tokens } from './tokens.ts'

/** @see https://www.rfc-editor.org/rfc/rfc8707#section-2 */
function isResource(resource: string): boolean {
  return /^[\x21-\x7e]+$/.test(resource) && URL.canParse(resource) && !resource.includes('#')
}

/** Returns why a resource is none, or null: also when none is asked for. */
export function resourceFlaw(resource: string | undefined): Refusal | null {
  if (resource === undefined || isResource(resource)) return null
  return refuse('invalid_target', 'The resource must be an absolute URI without a fragment.')
}

/**
 * Returns why a resource is not within the grant of the code or refresh token that is presented, or null.
 * What is not alive, and the client's, is left to who changes it: a reuse is noticed there.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8707#section-2.2
 */
export async function grantedResourceFlaw(
  { tokens, clock }: Pick<AuthorityParts, 'clock'> & { readonly tokens: Tokens },
  resource: string,
  { presented, client }: { readonly presented: string; readonly client: Client },
): Promise<Refusal | null> {
  const flaw = resourceFlaw(resource)
  if (flaw) return flaw
  const parsed = await tokens.parse(presented)
  const view = parsed && (await tokens.find(parsed))
  if (!view || view.grant.clientId !== client.id || deathOf(view, clock.now()) !== null) return null
  const { aud } = JSON.parse(view.grant.detail ?? '{}') as TokenDetail
  if (aud === resource) return null
  return refuse('invalid_target', 'The resource is not one that was granted.')
}
