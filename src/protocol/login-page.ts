/** A form of a web page, as a browser would submit it. */
export interface PageForm {
  /** Absolute. */
  readonly action: URL
  readonly method: 'GET' | 'POST'
  /** Inputs with their values; of the buttons the first, where it has a name: a browser presses that. */
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

/** Inputs that are buttons. */
const BUTTON_TYPES: ReadonlySet<string> = new Set(['submit', 'button', 'reset', 'image'])

/** Reads the forms of a page. Scripts are not run: a page that needs them has no form here. */
export function readForms(page: string, url: URL): readonly PageForm[] {
  return [...page.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)].map(
    ([, head = '', body = '']) => {
      const attributes = readAttributes(head)
      const buttons = readButtons(body)
      const pressed = buttons.slice(0, 1).filter(({ name }) => name !== '')
      return {
        action: new URL(attributes.get('action') || url.href, url),
        method: attributes.get('method')?.toUpperCase() === 'POST' ? 'POST' : 'GET',
        fields: new Map([
          ...readInputs(body),
          ...pressed.map(({ name, value }) => [name, value] as const),
        ]),
        buttons,
      }
    },
  )
}

function readInputs(body: string): readonly (readonly [string, string])[] {
  return [...body.matchAll(/<(?:input|select|textarea)\b([^>]*)>/gi)].flatMap(([, head = '']) => {
    const attributes = readAttributes(head)
    const name = attributes.get('name')
    const type = attributes.get('type')?.toLowerCase() ?? 'text'
    if (name === undefined || BUTTON_TYPES.has(type)) return []
    const unchecked = (type === 'checkbox' || type === 'radio') && !attributes.has('checked')
    return unchecked ? [] : [[name, attributes.get('value') ?? ''] as const]
  })
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
