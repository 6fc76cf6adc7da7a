import { createHash } from 'node:crypto'
import { asSecret, type ClientConfig, type CodeFlowConfig } from './config.ts'
import { openCookieJar, type PageForm, readForms } from './login-page.ts'
import type { Sender } from './sender.ts'
import type { Target } from './target.ts'
import { unclear } from './verdict.ts'

/** Login, consent and their redirects take fewer steps than this. */
const STEPS_MAX = 16
/** What is shown of an address that the flow cannot follow. */
const ADDRESS_CHARACTERS_MAX = 120

/** A code that was given out and not yet redeemed. */
export interface AuthorizationCode {
  readonly code: string
  readonly verifier: string
  readonly redirectUri: string
}

export interface AuthorizeWish {
  readonly client: ClientConfig
  readonly flow: CodeFlowConfig
  readonly user: 'first' | 'second'
  readonly random: () => string
}

type Means = { readonly target: Target; readonly sender: Sender }

/**
 * Walks the authorization endpoint and its pages as a browser without scripts would, until it is sent
 * back to the client with a code. Each walk is a device of its own: it starts without cookies.
 *
 * @throws CaseEnd when the walk leads nowhere
 * @see RFC 6749 section 4.1, RFC 7636
 */
export async function authorize(wish: AuthorizeWish, means: Means): Promise<AuthorizationCode> {
  const { client, flow } = wish
  const redirectUri = client.redirectUri ?? flow.redirectUri
  const start = means.target.authorization
  if (start === undefined)
    unclear('There is no authorization endpoint: add endpoints.authorization.')
  if (redirectUri === undefined) unclear('There is no redirect URI: add tokens.user.redirectUri.')
  const verifier = wish.random() + wish.random()
  const url = new URL(start)
  const state = wish.random()
  const asked = {
    response_type: 'code',
    client_id: client.id,
    redirect_uri: redirectUri,
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...((client.scope ?? flow.scope) && { scope: client.scope ?? flow.scope }),
    ...flow.parameters,
  }
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, String(value))
  const back = await walk(url, redirectUri, wish, means)
  const code = back.searchParams.get('code')
  if (code === null) {
    unclear(
      `The authorization was refused: ${back.searchParams.get('error') ?? 'no code came back'}.`,
    )
  }
  return { code, verifier, redirectUri }
}

interface Step {
  readonly url: URL
  readonly body?: string | undefined
}

async function walk(
  url: URL,
  redirectUri: string,
  wish: AuthorizeWish,
  means: Means,
): Promise<URL> {
  const jar = openCookieJar()
  const origin = url.origin
  let step: Step = { url }
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const answer = await means.sender.send(
      {
        method: step.body === undefined ? 'GET' : 'POST',
        url: step.url,
        headers: {
          accept: 'text/html',
          ...jar.header,
          ...(step.body !== undefined && {
            'content-type': 'application/x-www-form-urlencoded',
            origin,
          }),
        },
        body: step.body,
      },
      { quiet: true },
    )
    jar.keep(answer.headers['set-cookie'])
    const { location } = answer.headers
    if (location !== undefined && answer.status >= 300 && answer.status < 400) {
      if (location.startsWith(redirectUri)) return new URL(location)
      step = { url: new URL(location, step.url) }
    } else {
      step = submit(chooseForm(readForms(answer.body, step.url), wish, answer.status), wish)
    }
    // A login at another host is not ours to walk, and its pages are not the server's.
    if (step.url.origin !== origin) unclear(`The login leads to ${shown(step.url)}, another host.`)
  }
  unclear(`The login did not come to an end in ${STEPS_MAX} steps.`)
}

function shown(url: URL): string {
  return `${url.origin}${url.pathname}`.slice(0, ADDRESS_CHARACTERS_MAX)
}

function filled(wish: AuthorizeWish): ReadonlyMap<string, string> {
  const fields = (wish.user === 'second' ? wish.flow.secondUser : undefined) ?? wish.flow.fields
  return new Map(Object.entries(fields).map(([name, value]) => [name, asSecret(value).reveal()]))
}

/** The form that takes most of the given fields; else the first, which is a consent as a rule. */
function chooseForm(forms: readonly PageForm[], wish: AuthorizeWish, status: number): PageForm {
  const given = filled(wish)
  const matches = (form: PageForm) =>
    [...form.fields.keys()].filter((name) => given.has(name)).length
  const best = forms.toSorted((a, b) => matches(b) - matches(a))[0]
  return best ?? unclear(`The login shows a page without a form (HTTP ${status}).`)
}

function submit(form: PageForm, wish: AuthorizeWish): Step {
  const given = filled(wish)
  const pairs = [...form.fields].map(([name, value]) => [name, given.get(name) ?? value])
  const body = new URLSearchParams(pairs as [string, string][])
  if (form.method === 'POST') return { url: form.action, body: String(body) }
  const url = new URL(form.action)
  url.search = String(body)
  return { url }
}
