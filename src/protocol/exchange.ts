import type { HttpRequest, HttpResponse } from '../core/http.ts'
import { visible } from '../core/screen-text.ts'
import type { Secret } from '../core/secret.ts'

/** Longer bodies are cut: what a case shows stands in the first lines. */
const BODY_CHARACTERS_MAX = 2_000
/** A shorter text is in too many places to be replaced everywhere. */
const SECRET_CHARACTERS_MIN = 6

/** One request and its answer, as they went over the wire. Holds secrets in the clear. */
export interface RawExchange {
  readonly request: HttpRequest
  readonly answer: HttpResponse | undefined
  /** Why there is no answer. */
  readonly trouble: string | undefined
}

/** One request and its answer, safe to print: secrets are fingerprints. */
export interface Evidence {
  readonly request: string
  readonly answer: string
}

/** The secrets of a run, and what each is printed as. */
export interface SecretBook {
  /** @param label what it is: `refresh-token`, `client-secret` */
  add(secret: Secret, label: string): void
  /** Forgets all but the secrets of the clients: a new case begins. */
  startOver(): void
  /** Replaces every known secret, and what is shaped like one, in a text. */
  hide(text: string): string
}

/** Opens a book of secrets; a fingerprint means something within this process alone. */
export function openSecretBook(): SecretBook {
  const printed = new Map<string, string>()
  const add = (secret: Secret, label: string) => {
    const value = secret.reveal()
    if (value.length < SECRET_CHARACTERS_MIN) return
    const mark = `<${label} ${/[0-9a-f]{8}/.exec(String(secret))?.[0] ?? ''}>`
    for (const form of writtenForms(value)) printed.set(form, mark)
  }
  const hide = (text: string) => {
    let clean = text
    // The longest first: a short secret may be a part of a longer one.
    const known = [...printed].sort(([a], [b]) => b.length - a.length)
    for (const [form, mark] of known) if (clean.includes(form)) clean = clean.replaceAll(form, mark)
    return hideShapes(clean)
  }
  const startOver = () => {
    for (const [form, mark] of printed) if (!mark.startsWith('<client-')) printed.delete(form)
  }
  return { add, startOver, hide }
}

/** A value as it is, and as a URL, a form, a JSON text and HTTP Basic would write it. */
function writtenForms(value: string): ReadonlySet<string> {
  return new Set([
    value,
    encodeURIComponent(value),
    new URLSearchParams({ v: value }).toString().slice(2),
    JSON.stringify(value).slice(1, -1),
    Buffer.from(value).toString('base64'),
  ])
}

/** What holds a secret whatever its value; a mark that stands there already stays. */
function hideShapes(text: string): string {
  return text
    .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, '<jwt>')
    .replace(
      /\b(client_secret|password|client_assertion|code_verifier)=(?!<)[^&\s]+/g,
      '$1=<hidden>',
    )
    .replace(/("(?:access_token|refresh_token|id_token)"\s*:\s*")(?!<)[^"]+/g, '$1<hidden>')
    .replace(/^(authorization: \w+ )(?!<)\S{6,}$/gim, '$1<hidden>')
    .replace(/^((?:set-)?cookie: ).+$/gim, '$1<hidden>')
}

/** Writes an exchange as HTTP would, without secrets. */
export function printExchange(
  { request, answer, trouble }: RawExchange,
  book: SecretBook,
): Evidence {
  const url = new URL(request.url)
  const asked = [
    `${request.method} ${url.pathname}${url.search} HTTP/1.1`,
    `host: ${url.host}`,
    ...headerLines(request.headers ?? {}),
    ...bodyLines(request.body ?? ''),
  ]
  const told =
    answer === undefined
      ? [`(no answer: ${trouble ?? 'unknown'})`]
      : [`HTTP/1.1 ${answer.status}`, ...headerLines(answer.headers), ...bodyLines(answer.body)]
  return { request: printable(asked, book), answer: printable(told, book) }
}

function printable(lines: readonly string[], book: SecretBook): string {
  return lines
    .flatMap((line) => book.hide(line).split('\n'))
    .map(visible)
    .join('\n')
}

/** Headers that say nothing about the case. */
const IDLE_HEADERS = new Set(['user-agent', 'date', 'connection', 'keep-alive', 'etag'])

function headerLines(headers: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(headers)
    .filter(([name]) => !IDLE_HEADERS.has(name.toLowerCase()))
    .map(([name, value]) => `${name}: ${value}`)
}

function bodyLines(body: string): readonly string[] {
  if (body === '') return []
  const cut = body.slice(0, BODY_CHARACTERS_MAX)
  return ['', cut.length < body.length ? `${cut}… (${body.length} characters)` : cut]
}
