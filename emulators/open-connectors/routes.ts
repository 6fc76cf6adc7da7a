import { type Answer, jsonAnswer } from '../answer.ts'
import { resetUserSecret } from './account.ts'
import { platformError, unauthorized } from './answers.ts'
import { authenticate } from './authorization.ts'
import type { Call } from './call.ts'
import { answerChange, answerDelete, answerEnabled } from './change.ts'
import { answerCreate } from './create.ts'
import type { RouteName } from './faults.ts'
import { answerAccounts, answerPing } from './hub.ts'
import { answerOauthUrl } from './oauth-url.ts'
import { answerList, answerRead } from './read.ts'

/** A route found for a request: its name, and what answers it. */
export interface Route {
  readonly name: RouteName
  readonly answer: (call: Call) => Answer | Promise<Answer>
}

type Handler = (call: Call, ...parts: (string | undefined)[]) => Answer | Promise<Answer>
type Verbs = Readonly<Record<string, readonly [RouteName, Handler]>>

/** The paths below `/elements/api-v2`, the narrow ones first; what is in brackets goes to the handler. */
const PATHS: readonly (readonly [RegExp, Verbs])[] = [
  [
    /^\/elements\/([^/]+)\/oauth\/url$/,
    { GET: ['oauth-url', (call, key = '') => answerOauthUrl(call, key)] },
  ],
  [/^\/elements\/([^/]+)\/instances$/, { POST: ['create', answerCreate] }],
  [
    /^\/instances$/,
    {
      GET: ['list', answerList],
      POST: ['create', answerCreate],
      PATCH: ['patch', answerChange],
      PUT: ['put', answerChange],
    },
  ],
  [
    /^\/instances\/enabled$/,
    { PUT: ['enable', answerEnabled], DELETE: ['disable', answerEnabled] },
  ],
  [
    /^\/instances\/(\d+)$/,
    {
      GET: ['read', (call, id = '') => answerRead(call, id)],
      PATCH: ['patch', answerChange],
      PUT: ['put', answerChange],
      DELETE: ['delete', (call, id = '') => answerDelete(call, id)],
    },
  ],
  [/^\/authentication\/user-secret-reset$/, { POST: ['secret-reset', answerReset] }],
  [/^\/ping$/, { GET: ['ping', answerPing] }],
  [/^\/hubs\/([^/]+)\/ping$/, { GET: ['ping', answerPing] }],
  [
    /^\/hubs\/([^/]+)\/accounts(?:\/([^/]+))?$/,
    { GET: ['hub', (call, hub = '', id) => answerAccounts(call, hub, id)] },
  ],
]

/** Finds the route of a request. A path that is known by another verb only is 405. */
export function findRoute(method: string, path: string): Route {
  for (const [pattern, verbs] of PATHS) {
    const match = pattern.exec(path)
    if (match === null) continue
    const found = verbs[method]
    if (found === undefined) return { name: 'other', answer: notAllowed }
    const [name, handler] = found
    return { name, answer: (call) => wrongMedia(call) ?? handler(call, ...match.slice(1)) }
  }
  return { name: 'other', answer: (call) => platformError(call, 404, 'No such resource') }
}

function notAllowed(call: Call): Answer {
  return platformError(call, 405, `The method ${call.method} is not allowed here`)
}

function wrongMedia(call: Call): Answer | undefined {
  const { accept = '*/*', 'content-type': sent = 'application/json' } = call.headers
  if (!/json|\*\/\*|application\/\*/.test(accept)) {
    return platformError(call, 406, `The answer is JSON, which is not among ${accept}`)
  }
  const isJson = /\bjson\b/.test(sent)
  return call.body === '' || isJson ? undefined : platformError(call, 415, 'The body must be JSON')
}

/** Answers `POST /authentication/user-secret-reset`: effective at once. */
function answerReset(call: Call): Answer {
  if (authenticate(call, 'organization') === undefined) return unauthorized(call)
  return jsonAnswer(200, { secret: resetUserSecret(call.account) })
}
