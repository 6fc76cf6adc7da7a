/** What a person types and presses on the pages of a login. */
export interface Person {
  readonly username: string
  readonly password: string
  /** The button of the approval page. */
  readonly decision: 'Allow' | 'Deny'
}

/** A redirect more than a login ever has means that the walk goes in a circle. */
const STEPS_MAX = 6

/**
 * Walks the pages of a login as a browser without script would: reads each form, fills in what a person types,
 * presses a button, and stops at the first redirect to `redirectUri`. Gives the query that the app gets back.
 * Throws where a page has no form or the walk does not end.
 */
export async function walkLogin(
  authorizationUrl: string,
  redirectUri: string,
  person: Person,
): Promise<URLSearchParams> {
  let at = authorizationUrl
  let body: URLSearchParams | null = null
  for (let step = 0; step < STEPS_MAX; step += 1) {
    const method = body === null ? 'GET' : 'POST'
    const response = await fetch(at, { method, body, redirect: 'manual' })
    const location = response.headers.get('location')
    if (location?.startsWith(redirectUri)) return new URL(location).searchParams
    const page = readForm(await response.text())
    at = new URL(location ?? page.action, at).href
    body = location === null ? fill(page, person) : null
  }
  throw new Error(`the login did not come back to ${redirectUri}`)
}

interface Form {
  readonly action: string
  readonly inputs: readonly Tag[]
  readonly buttons: readonly (Tag & { readonly label: string })[]
}

type Tag = Readonly<Record<string, string>>

function readForm(html: string): Form {
  const inputs = [...html.matchAll(/<input ([^>]*)>/g)].map(([, tag = '']) => attributesOf(tag))
  const buttons = [...html.matchAll(/<button ([^>]*)>([^<]*)</g)].map(
    ([, tag = '', label = '']) => ({
      ...attributesOf(tag),
      label,
    }),
  )
  const form = /<form ([^>]*)>/.exec(html)?.[1]
  if (form === undefined) throw new Error('a page of the login has no form')
  return { action: attributesOf(form).action ?? '', inputs, buttons }
}

function attributesOf(tag: string): Tag {
  const pairs = [...tag.matchAll(/([\w-]+)="([^"]*)"/g)]
  return Object.fromEntries(pairs.map(([, name = '', value = '']) => [name, unescapeHtml(value)]))
}

function unescapeHtml(text: string): string {
  const signs: Readonly<Record<string, string>> = {
    lt: '<',
    gt: '>',
    quot: '"',
    apos: "'",
    amp: '&',
  }
  return text.replace(/&(\w+);/g, (whole, name: string) => signs[name] ?? whole)
}

function fill(form: Form, person: Person): URLSearchParams {
  const body = new URLSearchParams()
  for (const { name = '', value = '', type = 'text' } of form.inputs) {
    if (type === 'hidden') body.set(name, value)
    else body.set(name, name === 'password' ? person.password : person.username)
  }
  const pressed =
    form.buttons.find((button) => button.label === person.decision) ?? form.buttons.at(0)
  if (pressed?.name !== undefined) body.set(pressed.name, pressed.value ?? '')
  return body
}
