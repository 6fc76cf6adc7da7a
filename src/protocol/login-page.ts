/** A form of a web page, as a browser would submit it. */
export interface PageForm {
  /** Absolute. */
  readonly action: URL
  readonly method: 'GET' | 'POST'
  /** Inputs with their values; of the buttons, the first that has a name. */
  readonly fields: ReadonlyMap<string, string>
  /** All buttons that submit it. */
  readonly buttons: readonly FormButton[]
}

export interface FormButton {
  /** Empty where it has none, and sends nothing of itself. */
  readonly name: string
  readonly value: string
  /** What a person reads on it. */
  readonly label: string
}

/** Reads the forms of a page. Scripts are not run: a page that needs them has no form here. */
export function readForms(page: string, url: URL): readonly PageForm[] {
  return [...page.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)].map(
    ([, head = '', body = '']) => {
      const attributes = readAttributes(head)
      return {
        action: new URL(attributes.get('action') || url.href, url),
        method: attributes.get('method')?.toUpperCase() === 'POST' ? 'POST' : 'GET',
        fields: readFields(body),
        buttons: readButtons(body),
      }
    },
  )
}

function readFields(body: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  let submitted = false
  for (const [, tag = '', head = ''] of body.matchAll(
    /<(input|button|select|textarea)\b([^>]*)>/gi,
  )) {
    const attributes = readAttributes(head)
    const name = attributes.get('name')
    const type = attributes.get('type')?.toLowerCase() ?? (tag === 'button' ? 'submit' : 'text')
    if (name === undefined || type === 'reset' || type === 'image') continue
    if (type === 'submit' || type === 'button') {
      if (submitted || type === 'button') continue
      submitted = true
    }
    const unchecked = (type === 'checkbox' || type === 'radio') && !attributes.has('checked')
    if (!unchecked) fields.set(name, attributes.get('value') ?? '')
  }
  return fields
}

function readButtons(body: string): readonly FormButton[] {
  const buttons = body.matchAll(/<button\b([^>]*)>([\s\S]*?)<\/button>|<input\b([^>]*)>/gi)
  return [...buttons].flatMap(([, button, text = '', input]) => {
    const attributes = readAttributes(button ?? input ?? '')
    const name = attributes.get('name') ?? ''
    const type = attributes.get('type')?.toLowerCase() ?? (button === undefined ? 'text' : 'submit')
    if (type !== 'submit') return []
    const value = attributes.get('value') ?? ''
    const label = button === undefined ? value : unescapeHtml(text.replace(/<[^>]*>/g, ' ').trim())
    return [{ name, value, label }]
  })
}

function readAttributes(head: string): ReadonlyMap<string, string> {
  const found = head.matchAll(/([^\s=/"'>]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g)
  return new Map(
    [...found].map(([, name = '', a, b, c]) => [
      name.toLowerCase(),
      unescapeHtml(a ?? b ?? c ?? ''),
    ]),
  )
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
}

function unescapeHtml(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, decimal, hex, name) => {
    if (decimal) return String.fromCodePoint(Number(decimal))
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16))
    return ENTITIES[name as string] ?? whole
  })
}

/** Cookies of one visit to one server. */
export interface CookieJar {
  readonly header: Readonly<Record<string, string>>
  /** @param setCookie the values of `Set-Cookie`, joined by commas */
  keep(setCookie: string | undefined): void
}

/** Opens an empty jar. */
export function openCookieJar(): CookieJar {
  const cookies = new Map<string, string>()
  return {
    get header(): Record<string, string> {
      if (cookies.size === 0) return {}
      return { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') }
    },
    keep(setCookie) {
      // A comma also stands in dates; only one before a name and "=" parts two cookies.
      for (const line of setCookie?.split(/,\s*(?=[^;,=\s]+=)/) ?? []) {
        const [, name, value] = /^\s*([^=;]+)=([^;]*)/.exec(line) ?? []
        if (name === undefined || value === undefined) continue
        if (value === '') cookies.delete(name)
        else cookies.set(name, value)
      }
    },
  }
}
