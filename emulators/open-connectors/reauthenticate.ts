import { type Account, makeElementToken } from './account.ts'
import type { Call } from './call.ts'
import { changeInstance, type Instance, startRefreshing } from './instance.ts'
import { redeemCode, type TokenRefusal, type Tokens } from './provider.ts'
import { storeTokens } from './refresh.ts'

/** What a change makes of an instance. */
export type Draft = Pick<
  Instance,
  'name' | 'tags' | 'configuration' | 'externalAuthentication' | 'refreshing'
>

/**
 * Redeems a code for an instance that exists and stores the change with the new tokens. Gives what the provider said
 * where it refused; then nothing is changed, or by a switch the tokens are as blank as they were sent.
 */
export async function reauthenticate(
  call: Call,
  instance: Instance,
  draft: Draft,
  code: string,
): Promise<TokenRefusal | undefined> {
  const { account } = call
  const { tokens, refusal } = await redeemCode(account, draft.configuration, code, instance)
  if (refusal !== undefined) {
    if (account.switches.failedReauth === 'blanked') {
      changeInstance(account, instance, () => Object.assign(instance, draft))
    }
    return refusal
  }
  const before = { ...instance }
  Object.assign(instance, draft)
  instance.refreshing = startRefreshing()
  instance.configuration['authentication.time'] = String(account.clock.now())
  storeTokens(account, instance, tokensFor(account, instance, tokens))
  if (clearsDisabled(call)) instance.disabled = false
  renew(account, instance)
  // The whole re-authentication is one change to a read that lags.
  instance.before = { ...before, failing: before.refreshing.failures > 0 }
  return undefined
}

function clearsDisabled({ account, method }: Call): boolean {
  const { patchClearsDisabled, putClearsDisabled } = account.switches
  return method === 'PATCH' ? patchClearsDisabled : putClearsDisabled
}

/** Gives the instance another token and id where the switches say that they do not outlive this. */
function renew(account: Account, instance: Instance): void {
  const { elementTokenOnReauth, idOnReauth } = account.switches
  if (elementTokenOnReauth === 'new') instance.token = makeElementToken(account)
  if (idOnReauth === 'kept') return
  account.instances.delete(instance.id)
  account.lastInstanceId += 1
  instance.id = account.lastInstanceId
  account.instances.set(instance.id, instance)
}

/** The tokens that were asked for; of a broken platform, those that a neighbour holds. */
function tokensFor(account: Account, instance: Instance, tokens: Tokens): Tokens {
  const { healsInto } = account.switches
  if (healsInto === 'same') return tokens
  const neighbour = [...account.instances.values()].find((other) => other !== instance)
  if (neighbour === undefined) {
    throw new Error('healsInto takes the tokens of another instance, and the account has none')
  }
  const { configuration } = neighbour
  const hidden = healsInto === 'neighbour-hidden'
  return {
    ...tokens,
    accessToken: configuration['oauth.user.token'] ?? '',
    refreshToken: configuration['oauth.user.refresh_token'] ?? '',
    identityUrl: hidden ? tokens.identityUrl : (configuration['sfdc.user.id.url'] ?? ''),
  }
}
