import { createHash, createPublicKey, verify } from 'node:crypto'

/**
 * The evidence of a drill: a file of JSON Lines, in which each record holds the hash of the one before
 * and is signed (Ed25519). Pure: nothing here reads a disk, a network or a clock.
 *
 * ```
 * {"no":0,"kind":"drill",…,"key":{…},"prev":null,"hash":"…","sig":"…"}
 *                                                   │
 * {"no":1,"kind":"guards",…,"prev":"…"◀─────────────┘,"hash":"…","sig":"…"}
 * …
 * {"no":n,"kind":"end","verdict":"passed",…}
 * ```
 *
 * 1. `hash` is SHA-256 over the bytes of the line before `,"hash":`. `sig` signs the hash.
 * 2. The file is ASCII, each line ends in one line feed, and hex is lower-case: no byte can be another.
 * 3. A file without an `end` was cut, or its drill died there. It proves nothing of what follows.
 */
export const EVIDENCE_FORMAT = 'rescind drill evidence 1'

/** What a record says, beside its place in the chain. No value is ever a secret. */
export type EvidenceValue =
  | string
  | number
  | boolean
  | null
  | readonly EvidenceValue[]
  | { readonly [name: string]: EvidenceValue }

export type EvidenceBody = Readonly<Record<string, EvidenceValue>> & { readonly kind: string }

/** One record of the file. */
export type EvidenceRecord = EvidenceBody & {
  readonly no: number
  /** When it was written: ISO 8601. */
  readonly at: string
  readonly prev: string | null
}

/** Where a link of the chain goes: its record's number and the hash of the one before. */
export interface ChainPlace {
  readonly no: number
  readonly prev: string | null
}

/** Writes a record as one line without its end, and gives its hash. `sign` gives a signature in hex. */
export function writeRecord(
  body: EvidenceBody,
  at: string,
  { no, prev }: ChainPlace,
  sign: (hash: Uint8Array) => string,
): { readonly line: string; readonly hash: string; readonly record: EvidenceRecord } {
  const record = { no, ...body, at, prev }
  const content = toAscii(JSON.stringify(record)).slice(0, -1)
  const digest = hashOf(content)
  const hash = digest.toString('hex')
  return { line: `${content},"hash":"${hash}","sig":"${sign(digest)}"}`, hash, record }
}

/** Returns the id of a public key: what is compared, read out, and written on a wall. */
export function keyIdOf(publicKeyHex: string): string {
  const digest = createHash('sha256').update(Buffer.from(publicKeyHex, 'hex')).digest('hex')
  return `drk_${digest.slice(0, KEY_ID_HEX_DIGITS)}`
}

/** 128 bits: nobody makes a second key with the id of a first. */
const KEY_ID_HEX_DIGITS = 32

/** What is wrong with a file, and where. */
export interface EvidenceFault {
  readonly ok: false
  readonly fault: 'not_evidence' | 'altered' | 'cut' | 'reordered' | 'other_key'
  /** The record, from 0; the line is one more. */
  readonly record: number
  /** The bytes of that line in the file: the first, and the one after the last. */
  readonly bytes: readonly [number, number]
  readonly text: string
  /** The records before that place, which are as they were signed. */
  readonly sound: readonly EvidenceRecord[]
}

export interface EvidenceSound {
  readonly ok: true
  readonly keyId: string
  readonly records: readonly EvidenceRecord[]
}

/**
 * Checks a file of evidence offline: the chain, the order, the signatures, the end.
 *
 * @param keyId the key that must have signed it; without one, any key that the file itself names will do
 */
export function verifyEvidence(
  file: string | Uint8Array,
  keyId?: string,
): EvidenceSound | EvidenceFault {
  const text = typeof file === 'string' ? file : Buffer.from(file).toString('latin1')
  const lines = splitLines(text)
  if (!lines.some(isLikeRecord)) {
    return withSound({ ...fault('not_evidence', EMPTY_LINE, ''), text: NONE }, [])
  }
  const read: ReadLine[] = []
  for (const line of lines) {
    const next = readLine(line, read)
    if ('fault' in next) return withSound(next, read)
    read.push(next)
  }
  const first = read[0] as ReadLine
  const key = readKey(first.record)
  if (key === undefined) {
    return withSound(
      fault('not_evidence', first, 'It does not begin as a drill’s evidence does.'),
      [],
    )
  }
  for (const [no, line] of read.entries()) {
    if (isSigned(line, key.publicKey)) continue
    return withSound(fault('other_key', line, SIGNATURE), read.slice(0, no))
  }
  if (keyId !== undefined && key.id !== keyId) {
    const said = `It is signed by the key ${key.id}, and not by ${keyId}.`
    return withSound(fault('other_key', first, said), [])
  }
  const last = read.at(-1) ?? first
  if (last.record.kind !== 'end') return withSound(fault('cut', last, NO_END), read)
  return { ok: true, keyId: key.id, records: read.map(({ record }) => record) }
}

const NONE = 'It is no evidence file of a drill, which is its evidence.jsonl.'
const SIGNATURE =
  'Its signature is not by the key that the file names: it was altered, or signed by another key.'
const NO_END =
  'The file ends here, without a verdict: what followed was cut off, or the drill died here.'

interface Line {
  readonly no: number
  readonly text: string
  readonly bytes: readonly [number, number]
  /** Whether a line feed ends it. */
  readonly isWhole: boolean
}

interface ReadLine extends Line {
  readonly record: EvidenceRecord
  readonly hash: string
  readonly signature: string
}

const EMPTY_LINE: Line = { no: 0, text: '', bytes: [0, 0], isWhole: false }

function splitLines(text: string): readonly Line[] {
  const lines: Line[] = []
  let from = 0
  while (from < text.length) {
    const feed = text.indexOf('\n', from)
    const to = feed < 0 ? text.length : feed
    lines.push({
      no: lines.length,
      text: text.slice(from, to),
      bytes: [from, to + 1],
      isWhole: feed >= 0,
    })
    from = to + 1
  }
  return lines
}

/** The end of each line, after what is hashed. */
const SEAL = /,"hash":"([0-9a-f]{64})","sig":"([0-9a-f]{128})"\}$/

/** What was altered or cut at one end still is what it was. */
function isLikeRecord({ text }: Line): boolean {
  return text.startsWith('{"no":') || SEAL.test(text)
}

function readLine(line: Line, before: readonly ReadLine[]): ReadLine | PlainFault {
  const seal = SEAL.exec(line.text)
  if (!line.isWhole) {
    return fault(
      'cut',
      line,
      'The file ends in the middle of this record, or its last byte was altered.',
    )
  }
  if (seal === null || /[^\x20-\x7e]/.test(line.text)) {
    return fault('altered', line, 'It is not written as a record is: it was altered.')
  }
  const [whole, hash = '', signature = ''] = seal
  const content = line.text.slice(0, -whole.length)
  if (hashOf(content).toString('hex') !== hash) {
    return fault('altered', line, 'Its hash does not fit what it says: it was altered.')
  }
  const record = parseRecord(content)
  if (record === undefined) return fault('not_evidence', line, 'It is no record of a drill.')
  return judgePlace({ ...line, record, hash, signature }, before)
}

function judgePlace(line: ReadLine, before: readonly ReadLine[]): ReadLine | PlainFault {
  const { record, no } = line
  const previous = before.at(-1)
  if (record.no > no) {
    return fault(
      'cut',
      line,
      `Record ${record.no} stands here: what belongs here was taken out or moved.`,
    )
  }
  if (record.no < no) {
    return fault(
      'reordered',
      line,
      `Record ${record.no} stands here: records were reordered or repeated.`,
    )
  }
  if (record.prev !== (previous?.hash ?? null)) {
    return fault(
      'altered',
      line,
      'It does not follow from the record before it: one of the two was replaced.',
    )
  }
  if (previous?.record.kind === 'end') {
    return fault('altered', line, 'It stands behind the end of the drill: it was added.')
  }
  return line
}

function parseRecord(content: string): EvidenceRecord | undefined {
  try {
    const value: unknown = JSON.parse(`${content}}`)
    if (typeof value !== 'object' || value === null) return undefined
    const { no, kind, at } = value as Record<string, unknown>
    const fits = typeof no === 'number' && typeof kind === 'string' && typeof at === 'string'
    return fits ? (value as EvidenceRecord) : undefined
  } catch {
    return undefined
  }
}

function readKey(record: EvidenceRecord): { id: string; publicKey: string } | undefined {
  const { id, public: publicKey } = (record.key ?? {}) as Record<string, unknown>
  if (record.kind !== 'drill' || record.format !== EVIDENCE_FORMAT) return undefined
  if (typeof publicKey !== 'string' || !/^[0-9a-f]{64}$/.test(publicKey)) return undefined
  return keyIdOf(publicKey) === id ? { id, publicKey } : undefined
}

/** The head of a DER SubjectPublicKeyInfo of Ed25519, before the key's 32 bytes (RFC 8410 section 4). */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex')

function isSigned({ hash, signature }: ReadLine, publicKeyHex: string): boolean {
  const der = Buffer.concat([SPKI_HEAD, Buffer.from(publicKeyHex, 'hex')])
  const key = createPublicKey({ key: der, format: 'der', type: 'spki' })
  return verify(null, Buffer.from(hash, 'hex'), key, Buffer.from(signature, 'hex'))
}

type PlainFault = Omit<EvidenceFault, 'sound'>

function fault(kind: EvidenceFault['fault'], line: Line, said: string): PlainFault {
  const [from, to] = line.bytes
  const text = `Record ${line.no} (line ${line.no + 1}, bytes ${from} to ${to}): ${said}`
  return { ok: false, fault: kind, record: line.no, bytes: line.bytes, text }
}

function withSound(plain: PlainFault, read: readonly ReadLine[]): EvidenceFault {
  return { ...plain, sound: read.map(({ record }) => record) }
}

function hashOf(content: string): Buffer {
  return createHash('sha256').update(content, 'latin1').digest()
}

/** A letter that is no ASCII could be written in several ways, in bytes that a decoder forgives. */
function toAscii(json: string): string {
  return json.replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
