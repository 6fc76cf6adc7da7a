import { z } from 'zod'
import { RescindError } from '../../core/errors.ts'
import type { HttpRequest, HttpResponse } from '../../core/http.ts'
import type { Secret } from '../../core/secret.ts'
import { type Answer, type Failure, jsonOf, judgeFailure, judgeSuccess } from './answer.ts'
import { authorizationHeader } from './authorization-header.ts'
import { checkConsentUrl, consentQuery } from './consent-url.ts'
import { type Instance, readInstance, tokensOf } from './instance.ts'
import {
  appOf,
  createBody,
  type NewInstance,
  patchBody,
  putBody,
  refuseMasked,
} from './requests.ts'
import type { OpenConnectorsSettings } from './settings.ts'
import { type OpenConnectorsMeans, tracedSend } from './traced-send.ts'

/** An account has hundreds of instances, rarely thousands; a list that never ends is a fault. */
const PAGES_MAX = 1_000

/**
 * The API 2.0 of Open Connectors. Refusals are answers, told apart by whose they are; what breaks on
 * the way is thrown, as {@link Http.send} says.
 *
 * @see https://help.openconnectors.ext.hana.ondemand.com/home/post-instances
 */
export interface OpenConnectorsClient {
  readonly settings: OpenConnectorsSettings
  /**
   * Asks where the owner consents, with a state of ours.
   *
   * @throws RescindError `config_invalid` for an unknown element, `answer_invalid` for a URL that leads elsewhere
   */
  consentUrl(element: string, state: Secret, signal?: AbortSignal): Promise<Answer<string>>
  create(wish: NewInstance, signal?: AbortSignal): Promise<Answer<Instance>>
  /**
   * Yields every instance, page by page.
   *
   * @throws RescindError `answer_invalid` for a list that does not end, and what {@link orThrow} throws
   */
  list(signal?: AbortSignal): AsyncGenerator<Instance>
  get(id: number, signal?: AbortSignal): Promise<Answer<Instance>>
  /** Re-authenticates by PATCH, with blanked tokens; gives the instance where the answer shows it. */
  patch(instance: Instance, code: Secret, signal?: AbortSignal): Promise<Answer<Instance | null>>
  /** Re-authenticates by PUT, with the whole body. @throws RescindError `secret_masked` */
  put(instance: Instance, code: Secret, signal?: AbortSignal): Promise<Answer<Instance | null>>
  enable(instance: Instance, signal?: AbortSignal): Promise<Answer<null>>
  disable(instance: Instance, signal?: AbortSignal): Promise<Answer<null>>
  /** Deletes the instance and its token there. No page says that the provider is told. */
  delete(id: number, signal?: AbortSignal): Promise<Answer<null>>
  /** Reads through an instance, as a job would. A 2xx that is no JSON, or holds an error, is a failure of its status. */
  call(instance: Instance, path: string, signal?: AbortSignal): Promise<Answer<unknown>>
  /** A call that needs our User and Organization secrets alone. */
  control(signal?: AbortSignal): Promise<Answer<null>>
}

/** Opens the way to an account. Nothing is sent yet. */
export function createOpenConnectorsClient(
  settings: OpenConnectorsSettings,
  means: OpenConnectorsMeans,
): OpenConnectorsClient {
  const send = sender(settings, means)
  const noValue = () => null
  const instanceIn = ({ body }: HttpResponse) => readInstance(jsonOf(body)) ?? malformed('instance')
  const maybeInstance = ({ body }: HttpResponse) => readInstance(jsonOf(body)) ?? null
  const secretsOf = (instance: Instance) =>
    [instance.token, ...Object.values(tokensOf(instance))].filter((one) => one !== null)
  const through = (instance: Instance, request: Omit<Outgoing, 'elementToken'>) => {
    const elementToken = tokenOf(instance)
    return {
      ...request,
      elementToken,
      secrets: [...secretsOf(instance), ...(request.secrets ?? [])],
    }
  }
  return {
    settings,
    async consentUrl(element, state, signal) {
      const app = appOf(settings, element)
      const path = `/elements/${encodeURIComponent(element)}/oauth/url`
      const query = consentQuery(app, settings, state)
      const secrets = [app.apiSecret, state]
      // Documented as unauthenticated: our secrets are not sent along.
      const request = { method: 'GET', path, query, secrets, isPublic: true, signal } as const
      return send(request, ({ body }) => {
        const { oauthUrl } = wireConsent.safeParse(jsonOf(body)).data ?? malformed('consent URL')
        return checkConsentUrl(oauthUrl, app, settings, state)
      })
    },
    create(wish, signal) {
      const app = appOf(settings, wish.element)
      const body = createBody(wish, app, settings.callbackUrl)
      const secrets = [app.apiSecret, 'code' in wish ? wish.code : wish.refreshToken]
      return send({ method: 'POST', path: '/instances', body, secrets, signal }, instanceIn)
    },
    list: (signal) => eachInstance(send, signal),
    get: (id, signal) => send({ method: 'GET', path: `/instances/${id}`, signal }, instanceIn),
    patch(instance, code, signal) {
      const body = patchBody(instance, code, settings.callbackUrl)
      const { id } = instance
      const method = 'PATCH'
      if (settings.switches.patchBy === 'id') {
        const secrets = [code, ...secretsOf(instance)]
        return send({ method, path: `/instances/${id}`, body, secrets, signal }, maybeInstance)
      }
      return send(
        through(instance, { method, path: '/instances', body, secrets: [code], signal }),
        maybeInstance,
      )
    },
    put(instance, code, signal) {
      const body = putBody(instance, code, settings)
      const query = new URLSearchParams({ reAuthenticate: 'true' })
      const app = settings.elements[instance.elementKey ?? '']
      const secrets = [code, ...secretsOf(instance), ...(app ? [app.apiSecret] : [])]
      const path = `/instances/${instance.id}`
      return send({ method: 'PUT', path, query, body, secrets, signal }, maybeInstance)
    },
    enable: (instance, signal) =>
      send(through(instance, { method: 'PUT', path: '/instances/enabled', signal }), noValue),
    disable: (instance, signal) =>
      send(through(instance, { method: 'DELETE', path: '/instances/enabled', signal }), noValue),
    delete: (id, signal) => send({ method: 'DELETE', path: `/instances/${id}`, signal }, noValue),
    call(instance, path, signal) {
      const { pathname, searchParams: query } = new URL(path, 'https://path.invalid')
      const request = { method: 'GET', path: pathname, query, mustShow: true, signal } as const
      return send(through(instance, request), ({ body }) => jsonOf(body))
    },
    control: (signal) =>
      send({ method: 'GET', path: '/instances', query: SLIM, mustShow: true, signal }, noValue),
  }
}

const wireConsent = z.looseObject({ oauthUrl: z.string().min(1) })
/** Slim objects: no configuration, and so no tokens; but `disabled` is not in them either. */
const SLIM = new URLSearchParams({ hydrate: 'false' })

interface Outgoing {
  readonly method: HttpRequest['method']
  readonly path: string
  readonly query?: URLSearchParams | undefined
  readonly body?: object | undefined
  readonly elementToken?: Secret | undefined
  readonly isPublic?: boolean | undefined
  /** A 2xx is a yes only where its body says so: of calls that nothing else is looked at after. */
  readonly mustShow?: boolean | undefined
  /** What goes out beside the platform's own secrets, and must not come back in a message. */
  readonly secrets?: readonly Secret[] | undefined
  readonly signal?: AbortSignal | undefined
}

type Send = <T>(request: Outgoing, read: (answer: HttpResponse) => T) => Promise<Answer<T>>

function sender(settings: OpenConnectorsSettings, means: OpenConnectorsMeans): Send {
  const { userSecret, organizationSecret, switches } = settings
  return async (
    { method, path, query, body, elementToken, isPublic, mustShow, secrets = [], signal },
    read,
  ) => {
    const url = new URL(settings.url + path)
    for (const [name, value] of query ?? []) url.searchParams.append(name, value)
    if (body !== undefined) refuseMasked(body)
    const headers: Record<string, string> = { accept: 'application/json' }
    if (!isPublic) headers.authorization = authorizationHeader(settings, elementToken)
    if (body !== undefined) headers['content-type'] = 'application/json'
    const text = body === undefined ? undefined : JSON.stringify(body)
    const answer = await tracedSend(means, { method, url, headers, body: text, signal })
    const sent = [userSecret, organizationSecret, ...secrets]
    if (answer.status >= 200 && answer.status < 300) {
      const failure = mustShow ? judgeSuccess(answer, sent) : null
      if (failure !== null) return { ok: false, failure }
      return { ok: true, value: read(answer), status: answer.status }
    }
    return { ok: false, failure: judgeFailure(answer, switches, sent) }
  }
}

/** Follows `elements-next-page-token`: who reads the first page alone misses instances without a word. */
async function* eachInstance(send: Send, signal?: AbortSignal): AsyncGenerator<Instance> {
  const seen = new Set<string>()
  let query = new URLSearchParams()
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const page = orThrow(
      await send({ method: 'GET', path: '/instances', query, signal }, readPage),
      'list its instances',
      'url',
    )
    yield* page.instances
    if (page.next === undefined) return
    if (seen.has(page.next)) break
    seen.add(page.next)
    query = new URLSearchParams({ nextPage: page.next })
  }
  throw new RescindError(
    'answer_invalid',
    'The list of instances does not end: the platform gives the same page again, or too many. Try again later.',
  )
}

function readPage({ body, headers }: HttpResponse) {
  const list = jsonOf(body)
  if (!Array.isArray(list)) malformed('list of instances')
  const instances = (list as unknown[]).map((one) => readInstance(one) ?? malformed('instance'))
  return { instances, next: headers['elements-next-page-token'] || undefined }
}

function tokenOf({ id, token }: Instance): Secret {
  if (token) return token
  throw new RescindError(
    'answer_invalid',
    `The platform did not show the element token of instance ${id}. Check that the user may see it.`,
  )
}

function malformed(what: string): never {
  throw new RescindError(
    'answer_invalid',
    `Open Connectors answered with what is no ${what}. Check openConnectors.url in rescind.yaml.`,
  )
}

/**
 * Returns the value of an answer, for calls whose refusal ends the work.
 *
 * @param what the work, for the message: `list its instances`
 * @param missing what a 404 is about
 * @throws RescindError `not_authenticated` for the platform's 401, `not_permitted`, `instance_unknown`, `config_invalid`, `provider_busy`, `answer_invalid`
 */
export function orThrow<T>(
  answer: Answer<T>,
  what: string,
  missing: 'instance' | 'url' = 'instance',
): T {
  if (answer.ok) return answer.value
  const { status } = answer.failure
  const said = refusalText(answer.failure, what)
  switch (status) {
    case 401:
      throw new RescindError(
        'not_authenticated',
        `${said} Check userSecret and organizationSecret under openConnectors.`,
      )
    case 403:
      throw new RescindError('not_permitted', said)
    case 404:
      if (missing === 'instance') {
        throw new RescindError('instance_unknown', `${said} Check the id of the instance.`)
      }
      throw new RescindError('config_invalid', `${said} Check openConnectors.url in rescind.yaml.`)
    default:
      throw new RescindError(
        status >= 500 || status === 429 ? 'provider_busy' : 'answer_invalid',
        said,
      )
  }
}

/**
 * Says in a sentence what the platform refused.
 *
 * @param what the work: `list its instances`
 */
export function refusalText(
  { status, message, providerMessage, requestId }: Failure,
  what: string,
): string {
  const request = requestId === null ? '' : ` (request ${requestId})`
  return `Open Connectors would not ${what}: ${status}, ${providerMessage ?? message}${request}.`
}
