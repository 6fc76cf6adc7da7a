import { type Answer, emptyAnswer, jsonAnswer } from '../answer.ts'
import { platformError, providerError, unauthorized } from './answers.ts'
import { authenticate } from './authorization.ts'
import { type Call, jsonOf } from './call.ts'
import { readCode, readTags } from './change-body.ts'
import { type Configuration, dropMasks, readConfiguration } from './configuration.ts'
import { changeInstance, type Instance, presentInstance, startRefreshing } from './instance.ts'
import { revokeAtProvider } from './provider.ts'
import { noInstance } from './read.ts'
import { type Draft, reauthenticate } from './reauthenticate.ts'

/**
 * Answers `PATCH` and `PUT` of `/instances/{id}`, and of `/instances` for the instance of the Element token. Both
 * merge; tags that are given replace all. With `providerData.code` it is a re-authentication, for which
 * `PUT /instances/{id}` wants `reAuthenticate=true` as well.
 */
export async function answerChange(call: Call, id: string | undefined): Promise<Answer> {
  const instance = findInstance(call, id)
  if ('status' in instance) return instance
  const body = jsonOf(call)
  const given = readConfiguration(body?.configuration)
  if (body === undefined || given === undefined) {
    return platformError(call, 400, 'The body is not a JSON object')
  }
  const draft = draftOf(call, instance, body, given)
  const code = readCode(body)
  const asks = call.query.get('reAuthenticate') === 'true'
  if (asks && code === undefined) return platformError(call, 400, 'Missing providerData.code')
  if (call.fault?.kind === 'ok_without_effect') return shown(call, instance)
  const renews = code !== undefined && (asks || call.method === 'PATCH' || id === undefined)
  if (!renews) {
    changeInstance(call.account, instance, () => Object.assign(instance, draft))
    return shown(call, instance)
  }
  const refusal = await reauthenticate(call, instance, draft, code)
  if (refusal !== undefined) return providerError(call, refusal, 'The authentication failed')
  return shown(call, instance)
}

/** Finds the instance that a call names, or gives the answer that turns the call away. */
function findInstance(call: Call, id: string | undefined): Instance | Answer {
  const caller = authenticate(call, id === undefined ? 'element' : 'organization')
  if (caller === undefined) return unauthorized(call)
  const instance = id === undefined ? caller.instance : call.account.instances.get(Number(id))
  return instance ?? noInstance(call, id ?? '')
}

function draftOf(
  call: Call,
  instance: Instance,
  body: Readonly<Record<string, unknown>>,
  given: Configuration,
): Draft {
  const { switches } = call.account
  const isSeed = body.externalAuthentication === 'initial'
  const taken = { ...(switches.maskedEcho === 'ignored' ? dropMasks(given) : given) }
  if (isSeed && switches.seedOnChange === 'ignored') delete taken['oauth.user.refresh_token']
  const seeded = isSeed && switches.seedOnChange === 'accepted'
  return {
    name: typeof body.name === 'string' ? body.name : instance.name,
    tags: readTags(body) ?? instance.tags,
    configuration: { ...instance.configuration, ...taken },
    externalAuthentication: seeded ? 'initial' : instance.externalAuthentication,
    // A seeded grant is a new one: what the old one failed at says nothing of it.
    refreshing: seeded ? startRefreshing() : instance.refreshing,
  }
}

function shown(call: Call, instance: Instance): Answer {
  return jsonAnswer(200, presentInstance(call.account, instance, { fresh: true }))
}

/** Answers `PUT` and `DELETE /instances/enabled`; the configuration stays. Enabling lifts the lock of the refresh. */
export function answerEnabled(call: Call): Answer {
  const instance = authenticate(call, 'element')?.instance
  if (instance === undefined) return unauthorized(call)
  if (call.fault?.kind === 'ok_without_effect') return shown(call, instance)
  changeInstance(call.account, instance, () => {
    instance.disabled = call.method === 'DELETE'
  })
  if (!instance.disabled) instance.refreshing = startRefreshing()
  return shown(call, instance)
}

/** Answers `DELETE /instances/{id}`: gone for good; at the provider, only where a switch says so. */
export async function answerDelete(call: Call, id: string): Promise<Answer> {
  const instance = findInstance(call, id)
  if ('status' in instance) return instance
  if (call.fault?.kind === 'ok_without_effect') return emptyAnswer(200)
  const { account } = call
  account.instances.delete(instance.id)
  if (account.switches.deleteRevokes) await revokeAtProvider(account, instance)
  return emptyAnswer(200)
}
