import type { HttpRequest, HttpResponse } from '../core/http.ts'
import { openCookieJar, type PageForm, readForms } from './login-page.ts'

/** Login, consent and their redirects take fewer steps than this. */
const STEPS_MAX = 16
/** What is shown of an address that the walk cannot follow. */
const ADDRESS_CHARACTERS_MAX = 120

/** What is shown of the names of the inputs of a page. */
const NAMES_CHARACTERS_MAX = 200

export interface PageWalk {
  readonly start: URL
  /** Where the walk ends; nothing is sent there. */
  readonly redirectUri: string
  /** What is filled in of a form: the value of each field that is sent. */
  fill(form: PageForm): ReadonlyMap<string, string>
  /** The fields that a form must take to be the one that is meant. */
  readonly known: ReadonlySet<string>
  send(request: HttpRequest): Promise<HttpResponse>
}

export type PageWalkEnd =
  | { readonly arrived: URL; readonly steps: number }
  /** One sentence of why it leads nowhere. */
  | { readonly stuck: string }

interface Step {
  readonly url: URL
  readonly body?: string | undefined
}

/**
 * Walks the pages behind an authorization endpoint as a browser without scripts would, until they send
 * back to the client. Each walk is a device of its own: it starts without cookies. It stays on the host
 * that it started on, and follows redirects by hand, with cookies alone.
 *
 * @see RFC 6749 section 4.1
 */
export async function walkPages(walk: PageWalk): Promise<PageWalkEnd> {
  const jar = openCookieJar()
  const { origin } = walk.start
  let step: Step = { url: walk.start }
  let last: PageForm | undefined
  for (let steps = 1; steps <= STEPS_MAX; steps++) {
    const answer = await walk.send(requestOf(step, origin, jar.header))
    jar.keep(answer.headers['set-cookie'])
    const { location } = answer.headers
    if (location !== undefined && answer.status >= 300 && answer.status < 400) {
      if (isAt(location, walk.redirectUri)) return { arrived: new URL(location), steps }
      step = { url: new URL(location, step.url) }
    } else {
      const form = chooseForm(readForms(answer.body, step.url), walk.known)
      if (form === undefined) {
        return { stuck: `The login shows a page without a form (HTTP ${answer.status}).` }
      }
      step = submit(form, walk.fill(form))
      last = form
    }
    // A login at another host is not ours to walk, and its pages are not the server's.
    if (step.url.origin !== origin) {
      return { stuck: `The login leads to ${shown(step.url)}, another host.` }
    }
  }
  return { stuck: `The login did not come to an end in ${STEPS_MAX} steps.${inputsOf(last)}` }
}

/** A field that is misnamed is never filled in, and the same page comes again. */
function inputsOf(form: PageForm | undefined): string {
  if (form === undefined) return ''
  const buttons = new Set(form.buttons.map(({ name }) => name))
  const names = [...form.fields.keys()].filter((name) => !buttons.has(name)).join(', ')
  return names === ''
    ? ''
    : ` Its last page has the inputs ${names.slice(0, NAMES_CHARACTERS_MAX)}.`
}

function isAt(location: string, redirectUri: string): boolean {
  return location.startsWith(redirectUri)
}

function requestOf(
  { url, body }: Step,
  origin: string,
  cookies: Readonly<Record<string, string>>,
): HttpRequest {
  const posted = body !== undefined && {
    'content-type': 'application/x-www-form-urlencoded',
    origin,
  }
  return {
    method: body === undefined ? 'GET' : 'POST',
    url,
    headers: { accept: 'text/html', ...cookies, ...posted },
    body,
  }
}

function shown(url: URL): string {
  return `${url.origin}${url.pathname}`.slice(0, ADDRESS_CHARACTERS_MAX)
}

/** The form that takes most of the given fields; else the first, which is a consent as a rule. */
function chooseForm(forms: readonly PageForm[], known: ReadonlySet<string>): PageForm | undefined {
  const matches = (form: PageForm) =>
    [...form.fields.keys()].filter((name) => known.has(name)).length
  return forms.toSorted((a, b) => matches(b) - matches(a))[0]
}

function submit(form: PageForm, fields: ReadonlyMap<string, string>): Step {
  const body = new URLSearchParams([...fields])
  if (form.method === 'POST') return { url: form.action, body: String(body) }
  const url = new URL(form.action)
  url.search = String(body)
  return { url }
}
