import { RescindError } from '../../../core/errors.ts'
import type { Http } from '../../../core/http.ts'
import type { PageForm } from '../../../protocol/login-page.ts'
import { walkPages } from '../../../protocol/page-walk.ts'
import type { ReconnectLink } from '../platform.ts'
import {
  type Consent,
  type ConsentFields,
  type ConsentVisit,
  chooseButton,
  type Decision,
  readCallback,
} from './consent.ts'

/**
 * Gets the consent of a test user by the forms of the provider's pages, without a browser: each page is
 * fetched and its form posted, redirects are followed by hand, and no token is ever sent along.
 */
export function formConsent(http: Http, fields: ConsentFields): Consent {
  return {
    how: 'form',
    canDeny: true,
    visit: (link, decision, signal) => walkForms(http, fields, { link, decision, signal }),
    close: async () => {},
  }
}

interface Visit {
  readonly link: ReconnectLink
  readonly decision: Decision
  readonly signal: AbortSignal | undefined
}

async function walkForms(
  http: Http,
  wish: ConsentFields,
  { link, decision, signal }: Visit,
): Promise<ConsentVisit> {
  const end = await walkPages({
    start: new URL(link.url),
    redirectUri: link.redirectUri,
    known: new Set(Object.keys(wish.fields)),
    fill: (form) => fillIn(form, wish, decision),
    send: (request) => http.send({ ...request, signal }),
  })
  if ('stuck' in end) {
    const { advice = 'Check drill.consent in rescind.yaml, or use --consent browser.' } = wish
    const message = `The consent of the test user led nowhere. ${end.stuck} ${advice}`
    throw new RescindError('consent_failed', message)
  }
  return { callback: readCallback(end.arrived), pages: end.steps, screenshot: null }
}

/**
 * The fields of a form with the user's in them, and of its buttons only the one of the decision.
 *
 * @throws RescindError `consent_failed` where it is to be denied, and nothing says which button does
 */
function fillIn(form: PageForm, wish: ConsentFields, decision: Decision): Map<string, string> {
  const chosen = chooseButton(form.buttons, decision, wish)
  const nameless = form.buttons.filter(({ name }) => name === '')
  // A login waits for the user's fields; what waits for a button alone may be the consent.
  const isLogin = [...form.fields].some(([name, value]) => value === '' && name in wish.fields)
  // Which of two without a name was pressed, the server does not see.
  const isTold = chosen !== undefined && (chosen.name !== '' || nameless.length === 1)
  if (!isTold && decision === 'deny' && !isLogin) throw new RescindError('consent_failed', UNTOLD)
  const button = chosen ?? form.buttons[0]
  const buttons = new Set(form.buttons.map(({ name }) => name))
  const inputs = [...form.fields].filter(([name]) => !buttons.has(name))
  const filled = new Map(inputs.map(([name, value]) => [name, wish.fields[name] ?? value]))
  if (button !== undefined && button.name !== '') filled.set(button.name, button.value)
  return filled
}

const UNTOLD =
  'No button of the consent page says that it denies: nothing was pressed. Name it as NAME=VALUE in drill.consent.deny, or use --consent link.'
