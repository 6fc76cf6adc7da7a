/** What a route answers; the server writes it to the wire. */
export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

export const JSON_TYPE = 'application/json;charset=UTF-8'

/** An answer in JSON. */
export function jsonAnswer(status: number, value: unknown): Answer {
  return { status, type: JSON_TYPE, body: JSON.stringify(value) }
}

/** An answer without a body. */
export function emptyAnswer(status: number): Answer {
  return { status, type: '', body: '' }
}

/** An answer in HTML. */
export function htmlAnswer(status: number, body: string): Answer {
  return { status, type: 'text/html;charset=UTF-8', body }
}

/** An answer in XML. */
export function xmlAnswer(status: number, body: string): Answer {
  return { status, type: 'text/xml;charset=UTF-8', body }
}

/** A redirect that a browser follows with GET. */
export function redirectAnswer(location: string): Answer {
  return { status: 302, type: '', body: '', headers: { location } }
}

/** An answer that asks the caller to come again later. */
export function withRetryAfter(answer: Answer, seconds: number | undefined): Answer {
  if (seconds === undefined) return answer
  return { ...answer, headers: { ...answer.headers, 'retry-after': String(seconds) } }
}
