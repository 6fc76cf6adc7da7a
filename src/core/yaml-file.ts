import { distance } from 'fastest-levenshtein'
import { isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { type ErrorCode, RescindError } from './errors.ts'

/** A file of configuration is written by hand; anything larger is a mistake. */
const FILE_BYTES_MAX = 1024 * 1024
/** A key this far from a known one, by its length, is no slip of the finger. */
const TYPO_SHARE_MAX = 0.5

/**
 * Reads YAML against a schema. The first thing that is wrong becomes one sentence with line and
 * column, and with the nearest known key where a key is unknown.
 *
 * @param name how the file is called in messages
 * @throws RescindError of the given code
 */
export function parseYaml<T extends z.ZodType>(
  text: string,
  schema: T,
  name: string,
  code: ErrorCode,
): z.output<T> {
  if (text.length > FILE_BYTES_MAX) {
    throw new RescindError(code, `${name} is larger than 1 MB. Check that it is the right file.`)
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const broken = document.errors[0]
  if (broken) {
    const { line, col } = lines.linePos(broken.pos[0])
    const message = `${name}:${line}:${col}: this is not valid YAML: ${broken.message.split('\n')[0]}.`
    throw new RescindError(code, message)
  }
  const parsed = schema.safeParse(asValue(document, name, code))
  if (parsed.success) return parsed.data
  const issue = tellingIssue(parsed.error.issues)
  const unknownKey = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const path = unknownKey === undefined ? issue.path : [...issue.path, unknownKey]
  const offset = offsetOf(document, path)
  const { line, col } = lines.linePos(offset)
  throw new RescindError(code, `${name}:${line}:${col}: ${explain(issue, path, schema)}`)
}

/** Aliases are resolved here: to nothing, or to more than a file of this size may mean. */
function asValue(
  document: ReturnType<typeof parseDocument>,
  name: string,
  code: ErrorCode,
): unknown {
  try {
    return document.toJS()
  } catch (error) {
    const message = `${name}: its aliases cannot be resolved. Write out what they stand for.`
    throw new RescindError(code, message, { cause: error })
  }
}

/** A key that is misspelt is also missing under its right name: the misspelling is what to say. */
function tellingIssue(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue {
  const told = issues.map((issue) => deepest([issue]))
  return told.find(({ code }) => code === 'unrecognized_keys') ?? (told[0] as z.core.$ZodIssue)
}

/** Of the branches of a union, takes the issue that got furthest: it is nearest to what was meant. */
function deepest(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue {
  const first = issues[0] as z.core.$ZodIssue
  if (first.code !== 'invalid_union') return first
  const inner = first.errors
    .map((branch) => deepest(branch))
    .sort((a, b) => b.path.length - a.path.length)[0]
  if (!inner) return first
  if (inner.path.length === 0 && inner.code !== 'unrecognized_keys') {
    const reasons = first.errors.flatMap((branch) => branch[0]?.message.replace(/^.*?: /, '') ?? [])
    return { ...first, message: [...new Set(reasons)].join(', or ') }
  }
  return { ...inner, path: [...first.path, ...inner.path] } as z.core.$ZodIssue
}

function explain(issue: z.core.$ZodIssue, path: readonly PropertyKey[], schema: z.ZodType): string {
  const where = path.length === 0 ? 'the file' : `"${pathText(path)}"`
  if (issue.code !== 'unrecognized_keys') return `${where}: ${issue.message}.`
  const key = String(path.at(-1))
  const known = knownKeys(schema, issue.path)
  const nearest = nearestKey(key, known)
  const hint =
    nearest !== undefined
      ? ` Did you mean "${nearest}"?`
      : known.length > 0
        ? ` Known here: ${known.join(', ')}.`
        : ''
  return `there is no key ${where}.${hint}`
}

/** The known key that a misspelt one is nearest to, or whose beginning it is: `acess` is `accessToken`. */
function nearestKey(key: string, known: readonly string[]): string | undefined {
  const farness = (one: string) => {
    const beginning = distance(key, one.slice(0, key.length + 1))
    // Between a whole key and the beginning of another, the whole one is meant.
    return Math.min(distance(key, one), beginning + 0.5)
  }
  const [nearest] = known
    .map((one) => ({ one, far: farness(one) }))
    .sort((one, other) => one.far - other.far)
  return nearest && nearest.far <= TYPO_SHARE_MAX * key.length ? nearest.one : undefined
}

/** A path as people count: `kill 1: app.name` for the first of a list. */
function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, step, at) => {
    if (typeof step === 'number') return `${text} ${step + 1}`
    const joint = at === 0 ? '' : typeof path[at - 1] === 'number' ? ': ' : '.'
    return text + joint + String(step)
  }, '')
}

/** The keys that the schema's JSON Schema knows at a path. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  interface Node {
    properties?: Record<string, Node>
    items?: Node
    additionalProperties?: Node
    anyOf?: Node[]
  }
  const root = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Node
  let nodes: Node[] = [root]
  const open = (all: Node[]): Node[] => all.flatMap((n) => (n.anyOf ? open(n.anyOf) : [n]))
  for (const step of path) {
    nodes = open(nodes).flatMap((node) => {
      const next =
        typeof step === 'number'
          ? node.items
          : (node.properties?.[String(step)] ?? node.additionalProperties)
      return next ? [next] : []
    })
  }
  return open(nodes).flatMap((node) => Object.keys(node.properties ?? {}))
}

/** Where a path's key stands in the text; the nearest parent's place when it is missing. */
function offsetOf(
  document: ReturnType<typeof parseDocument>,
  path: readonly PropertyKey[],
): number {
  for (let length = path.length; length > 0; length--) {
    const parent = document.getIn(path.slice(0, length - 1), true)
    const key = path[length - 1]
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === key)
      if (isScalar(pair?.key) && pair.key.range) return pair.key.range[0]
    }
    const node = document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return node.range[0]
  }
  return 0
}
