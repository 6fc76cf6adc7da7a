import { type Answer, htmlAnswer, jsonAnswer } from '../answer.ts'
import { oauthError } from './answer.ts'
import { type Call, formOf } from './call.ts'
import { renderPage } from './login-page.ts'
import { checkClient } from './oauth-client.ts'
import { type CodeDesk, issueApproved } from './oauth-code.ts'
import { CODE_LIFE_MS, keep, type OauthDesk } from './oauth-desk.ts'
import { isUserLetIn } from './org.ts'

const PATH = '/setup/connect'
const INTERVAL_S = 5

/** Answers `response_type=device_code` at the token endpoint: the codes by which a user lets a device in. */
export function answerDeviceStart(call: Call, form: URLSearchParams, desk: OauthDesk): Answer {
  const client = checkClient(call, form)
  if ('refused' in client) return client.refused
  // Uninstalled apps lost this flow for good in September 2025.
  if (client.app.kind === 'uninstalled') {
    return oauthError('invalid_client', 'device flow is not enabled for this app')
  }
  const deviceCode = desk.draw(64)
  const userCode = desk.draw(8).toUpperCase()
  keep(desk.devices, deviceCode, {
    app: client.app.index,
    scope: form.get('scope') ?? client.app.scopes.join(' '),
    userCode,
    issuedMs: call.org.now(),
    user: undefined,
    denied: false,
  })
  return jsonAnswer(200, {
    device_code: deviceCode,
    user_code: userCode,
    verification_uri: `${call.org.origin}${PATH}`,
    interval: INTERVAL_S,
  })
}

/** Answers the device grant: an error that says to wait, until a user has decided. */
export function answerDevice(call: Call, form: URLSearchParams, desks: CodeDesk): Answer {
  const client = checkClient(call, form)
  if ('refused' in client) return client.refused
  const code = form.get('code') ?? form.get('device_code') ?? ''
  const device = desks.oauth.devices.get(code)
  if (device === undefined || call.org.now() - device.issuedMs >= CODE_LIFE_MS) {
    return oauthError('invalid_grant', 'expired authorization code')
  }
  if (device.denied) return oauthError('access_denied', 'end-user denied authorization')
  if (device.user === undefined) {
    return oauthError('authorization_pending', 'waiting for user authorization')
  }
  desks.oauth.devices.delete(code)
  const user = call.org.users[device.user]!
  const approved = { scope: device.scope, nonce: undefined, code, origin: 'OauthDevice' } as const
  return issueApproved(call.org, approved, client.app, user, desks.keys)
}

/** Answers the page at which a user types the code of a device. */
export function answerConnectPage(call: Call, desk: OauthDesk): Answer {
  const form = formOf(call)
  const device = [...desk.devices.values()].find(
    (entry) => entry.userCode === (form.get('user_code') ?? '').toUpperCase(),
  )
  const user = call.org.userByUsername.get(form.get('username') ?? '')
  const matches = user !== undefined && user.password === form.get('password')
  if (call.method === 'POST' && device !== undefined && matches && isUserLetIn(call.org, user)) {
    if (form.get('decision') === 'deny') device.denied = true
    else device.user = user.index
    return htmlAnswer(200, '<!doctype html><title>Done</title><p>You can go back to your device.')
  }
  const page = renderPage({
    title: 'Connect a device',
    text: 'Enter the code that your device shows, and log in to approve it.',
    error: call.method === 'POST' ? 'Please check the code, username and password.' : undefined,
    action: PATH,
    hidden: {},
    fields: [
      { name: 'user_code', label: 'Code', type: 'text' },
      { name: 'username', label: 'Username', type: 'text' },
      { name: 'password', label: 'Password', type: 'password' },
    ],
    buttons: [
      // First, as the Enter key presses the first button of a form.
      { name: 'decision', value: 'allow', label: 'Allow' },
      { name: 'decision', value: 'deny', label: 'Deny' },
    ],
  })
  return htmlAnswer(call.method === 'POST' ? 401 : 200, page)
}
