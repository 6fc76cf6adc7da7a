import type { z } from 'zod'
import { refuse } from './errors.ts'

/** The largest body holds a code and a state: a few kilobytes. */
export const BODY_BYTES_MAX = 16 * 1024

/** What was asked, or the answer that turns it away. */
export type Asked<T> = { readonly value: T } | { readonly answer: Response }

/** Reads a JSON body against a shape; the first thing that is wrong is one sentence. */
export async function readBody<T extends z.ZodObject>(
  request: Request,
  shape: T,
): Promise<Asked<z.output<T>>> {
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') {
    return { answer: refuse(415, 'invalid_request', 'The body must be application/json.') }
  }
  const text = await request.text()
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return { answer: refuse(400, 'invalid_request', 'The body is no JSON.') }
  }
  return judge(shape, body)
}

/** Reads the query against a shape. */
export function readQuery<T extends z.ZodObject>(url: string, shape: T): Asked<z.output<T>> {
  const query = new URL(url).searchParams
  const names = [...query.keys()]
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) {
    return { answer: refuse(400, 'invalid_request', 'A parameter stands twice.') }
  }
  return judge(shape, Object.fromEntries(query))
}

function judge<T extends z.ZodObject>(shape: T, value: unknown): Asked<z.output<T>> {
  const parsed = shape.safeParse(value)
  if (parsed.success) return { value: parsed.data }
  const [issue] = parsed.error.issues
  return { answer: refuse(400, 'invalid_request', issue?.message ?? 'The request is wrong.') }
}
