import { type Answer, jsonAnswer } from '../answer.ts'
import type { Account } from './account.ts'
import { platformError, providerError, unauthorized } from './answers.ts'
import { authenticate } from './authorization.ts'
import { type Call, jsonOf } from './call.ts'
import { readCode, readTags } from './change-body.ts'
import {
  type Configuration,
  defaultConfiguration,
  missingKeys,
  readConfiguration,
} from './configuration.ts'
import { type Element, findElement } from './elements.ts'
import { addInstance, presentInstance } from './instance.ts'
import { redeemCode } from './provider.ts'
import { storeTokens } from './refresh.ts'

const REQUIRED = ['oauth.api.key', 'oauth.api.secret']

/**
 * Answers `POST /instances`, and `POST /elements/{keyOrId}/instances` without `element.key` in the body: by a
 * code, or with `externalAuthentication: initial` by a refresh token that the caller got himself.
 */
export async function answerCreate(call: Call, keyOrId: string | undefined): Promise<Answer> {
  const { account } = call
  if (authenticate(call, 'organization') === undefined) return unauthorized(call)
  const body = jsonOf(call)
  const given = readConfiguration(body?.configuration)
  if (body === undefined || given === undefined) {
    return platformError(call, 400, 'The body is not a JSON object with a configuration')
  }
  const key = keyOrId ?? String((body.element as { key?: unknown } | undefined)?.key ?? '')
  const element = findElement(key)
  if (element === undefined) return platformError(call, 404, `No element found for ${key}`)
  const fresh = { element, body, configuration: { ...defaultsOf(account), ...given } }
  const [code, missing] = [readCode(body), missingOf(body, given)]
  if (missing.length > 0) {
    return platformError(call, 400, `Missing required configuration: ${missing.join(', ')}`)
  }
  return code === undefined ? seed(call, fresh) : byCode(call, fresh, code)
}

function defaultsOf({ salesforceUrl, clock }: Account): Configuration {
  return {
    ...defaultConfiguration(salesforceUrl),
    'authentication.time': String(clock.now()),
  }
}

function missingOf(body: Record<string, unknown>, given: Configuration): readonly string[] {
  if (readCode(body) !== undefined) return missingKeys(given, [...REQUIRED, 'oauth.callback.url'])
  if (body.externalAuthentication === 'initial') {
    return missingKeys(given, [...REQUIRED, 'oauth.user.refresh_token'])
  }
  return [...missingKeys(given, REQUIRED), 'providerData.code']
}

interface Fresh {
  readonly element: Element
  readonly body: Record<string, unknown>
  readonly configuration: Configuration
}

async function byCode(call: Call, fresh: Fresh, code: string): Promise<Answer> {
  const { account } = call
  const { tokens, refusal } = await redeemCode(account, fresh.configuration, code, undefined)
  if (refusal !== undefined) return providerError(call, refusal, 'The authentication failed')
  const instance = add(call, fresh, 'none')
  storeTokens(account, instance, tokens)
  if (account.switches.refreshTimeOnCreate === 'null') {
    instance.configuration['oauth.user.refresh_time'] = null
  }
  instance.before = undefined
  return jsonAnswer(200, presentInstance(account, instance, { created: true, fresh: true }))
}

function seed(call: Call, fresh: Fresh): Answer {
  const instance = add(call, fresh, 'initial')
  return jsonAnswer(200, presentInstance(call.account, instance, { created: true, fresh: true }))
}

function add(call: Call, fresh: Fresh, externalAuthentication: 'none' | 'initial') {
  const { element, body, configuration } = fresh
  const name = typeof body.name === 'string' ? body.name : element.name
  const tags = readTags(body) ?? []
  return addInstance(call.account, { element, name, tags, configuration, externalAuthentication })
}
