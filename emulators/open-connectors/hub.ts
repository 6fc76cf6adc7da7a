import { type Answer, jsonAnswer } from '../answer.ts'
import type { Account } from './account.ts'
import { platformError, providerError, unauthorized } from './answers.ts'
import { authenticate } from './authorization.ts'
import type { Call } from './call.ts'
import type { Instance } from './instance.ts'
import { type ProviderAnswer, readResource, type TokenRefusal } from './provider.ts'
import { isIntervalOver, refreshInstance } from './refresh.ts'

const DATA = '/services/data/v62.0'
const PAGE_SIZE = 200

/** Answers `GET /hubs/{hub}/accounts` and `/accounts/{id}`: the provider's records, by the instance's token. */
export function answerAccounts(call: Call, hub: string, id: string | undefined): Promise<Answer> {
  const limit = Math.min(Math.max(Number(call.query.get('pageSize')) || PAGE_SIZE, 1), PAGE_SIZE)
  const soql = `SELECT Id, Name, CreatedDate FROM Account LIMIT ${limit}`
  const path =
    id === undefined
      ? `${DATA}/query?q=${encodeURIComponent(soql)}`
      : `${DATA}/sobjects/Account/${encodeURIComponent(id)}`
  return throughInstance(call, { hub, path, shape: recordsOf })
}

/** Answers `GET /ping` and `/hubs/{hub}/ping`: whether the provider answers the instance's token. */
export function answerPing(call: Call, hub: string | undefined): Promise<Answer> {
  const shape = (_: unknown, { element }: Instance) => ({
    dateTime: new Date(call.account.clock.now()).toISOString(),
    endpoint: element.key,
  })
  return throughInstance(call, { hub, path: `${DATA}/`, shape })
}

function recordsOf(json: unknown): unknown {
  const body = json as { readonly records?: readonly Record<string, unknown>[] }
  const plain = ({ attributes, ...fields }: Record<string, unknown>) => fields
  return body.records === undefined
    ? plain(json as Record<string, unknown>)
    : body.records.map(plain)
}

interface Resource {
  /** The hub of the path; undefined where it names none. */
  readonly hub: string | undefined
  readonly path: string
  readonly shape: (json: unknown, instance: Instance) => unknown
}

async function throughInstance(call: Call, resource: Resource): Promise<Answer> {
  const { account } = call
  const instance = authenticate(call, 'element')?.instance
  if (instance === undefined) return unauthorized(call)
  if (resource.hub !== undefined && resource.hub !== instance.element.hub) {
    return platformError(call, 404, `The instance is not of the hub ${resource.hub}`)
  }
  if (instance.disabled) {
    const message = `The instance ${instance.id} is disabled`
    return platformError(call, account.switches.disabledCall, message)
  }
  const answer = await ask(call, instance, resource)
  if (answer.status === 200) instance.cache.set(call.path, answer.body)
  const hides = account.switches.notices === 'never' && [401, 502].includes(answer.status)
  return hides ? jsonAnswer(200, JSON.parse(instance.cache.get(call.path) ?? '[]')) : answer
}

/** Asks the provider; after a 401, or past the interval, with a token that was refreshed. */
async function ask(call: Call, instance: Instance, resource: Resource): Promise<Answer> {
  const { account } = call
  if (isIntervalOver(account, instance)) {
    const refusal = await refreshed(account, instance, 'interval')
    if (refusal !== undefined) return refreshFailed(call, refusal)
  }
  const used = instance.configuration['oauth.user.token']
  let answer = await readResource(account, instance, resource.path)
  if (answer.status === 401 && canRefresh(instance)) {
    // Another call may have refreshed while this one was under way: then a newer token is there already.
    const isStale = used !== instance.configuration['oauth.user.token']
    const shares = isStale && account.switches.concurrentRefreshes === 'one'
    const refusal = shares ? undefined : await refreshed(account, instance, 'call')
    if (refusal !== undefined) return refreshFailed(call, refusal)
    answer = await readResource(account, instance, resource.path)
  }
  if (answer.status !== 200)
    return providerError(call, answer, 'The request to the provider failed')
  return jsonAnswer(200, resource.shape(answer.json, instance))
}

function canRefresh({ configuration }: Instance): boolean {
  return (configuration['oauth.user.refresh_token'] ?? '') !== ''
}

async function refreshed(
  account: Account,
  instance: Instance,
  trigger: 'call' | 'interval',
): Promise<TokenRefusal | undefined> {
  return canRefresh(instance) ? refreshInstance(account, instance, trigger) : undefined
}

const REFRESH_FAILED = 'The refresh of the OAuth token failed'

/** What refused may be dead, and is answered as a switch says; what did not answer, or failed, is 502. */
function refreshFailed(call: Call, refusal: ProviderAnswer): Answer {
  const { failedRefresh } = call.account.switches
  const refused = refusal.status !== null && refusal.status >= 400 && refusal.status < 500
  if (!refused || failedRefresh === '502') return providerError(call, refusal, REFRESH_FAILED, 502)
  if (failedRefresh === '401-bare') return platformError(call, 401, REFRESH_FAILED)
  return providerError(call, refusal, REFRESH_FAILED, 401)
}
