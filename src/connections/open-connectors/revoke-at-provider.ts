import { RescindError } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'
import { judgeRevocation } from '../../providers/salesforce/kill-answer.ts'
import { plainIn } from './configuration.ts'
import { type Instance, tokensOf } from './instance.ts'
import { appOf } from './requests.ts'
import type { OpenConnectorsSettings } from './settings.ts'
import { type OpenConnectorsMeans, tracedSend } from './traced-send.ts'

/** Which of the two tokens is presented; Salesforce ends the whole grant with the refresh token alone. */
export type RevokedToken = 'access' | 'refresh'

/** A revocation at the provider, as it was answered. */
export interface ProviderRevocation {
  readonly url: string
  readonly status: number
  /** The provider says that the token is dead, by this or before. */
  readonly isDead: boolean
}

/**
 * Revokes a token of an instance at its provider, where the instance's own configuration says.
 *
 * @throws RescindError `usage` where it says nowhere, or has no such token
 * @see https://developer.salesforce.com/docs/platform/mobile-sdk/guide/oauth-revoking-tokens.html
 */
export async function revokeAtProvider(
  instance: Instance,
  which: RevokedToken,
  settings: OpenConnectorsSettings,
  means: OpenConnectorsMeans & { readonly signal?: AbortSignal | undefined },
): Promise<ProviderRevocation> {
  const token = tokensOf(instance)[which]
  if (token) return revokeTokenOf(instance, token, settings, means)
  const message = `Instance ${instance.id} has no ${which} token that could be revoked.`
  throw new RescindError('usage', message)
}

/** The same, of a token that the instance may not hold any more. @throws RescindError `usage` */
export async function revokeTokenOf(
  instance: Instance,
  token: Secret,
  settings: OpenConnectorsSettings,
  means: OpenConnectorsMeans & { readonly signal?: AbortSignal | undefined },
): Promise<ProviderRevocation> {
  const { configuration, id } = instance
  const ownUrl = plainIn(configuration, 'sfdc.revoke.url')
  const url = ownUrl ?? plainIn(configuration, 'oauth.token.revoke_url')
  if (url === null) {
    const message = `The configuration of instance ${id} names no address to revoke at. Revoke the token with rescind revoke, and run this without --revoke.`
    throw new RescindError('usage', message)
  }
  // Salesforce takes the token alone; the others of the vendor's page want the client beside it.
  const client = ownUrl === null ? clientForm(instance, settings) : {}
  const answer = await tracedSend(means, {
    method: 'POST',
    url,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token: token.reveal(), ...client }).toString(),
    signal: means.signal,
  })
  const { status } = answer
  const { outcome } = judgeRevocation(answer)
  const isDead = outcome === 'revoked' || outcome === 'already_dead'
  return { url: new URL(url).origin + new URL(url).pathname, status, isDead }
}

/** Says whether the end of an instance's grant reaches no other one of its person: known of Salesforce alone. */
export function grantsApart({ configuration }: Instance): boolean {
  return plainIn(configuration, 'sfdc.revoke.url') !== null
}

function clientForm(instance: Instance, settings: OpenConnectorsSettings): Record<string, string> {
  const app = appOf(settings, instance.elementKey)
  const secret: Secret = app.apiSecret
  return { client_id: app.apiKey, client_secret: secret.reveal() }
}
