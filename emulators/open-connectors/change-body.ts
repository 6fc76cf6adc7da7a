/** Gives the authorization code of a body, where it has one. */
export function readCode(body: Readonly<Record<string, unknown>>): string | undefined {
  const code = (body.providerData as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' && code !== '' ? code : undefined
}

/** Gives the tags of a body as names; they may be sent as names or as objects with a name. */
export function readTags(body: Readonly<Record<string, unknown>>): string[] | undefined {
  if (!Array.isArray(body.tags)) return undefined
  return body.tags.map((tag: unknown) =>
    typeof tag === 'object' && tag !== null
      ? String((tag as { name?: unknown }).name)
      : String(tag),
  )
}
