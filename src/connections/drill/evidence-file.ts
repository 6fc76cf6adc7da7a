import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { RescindError } from '../../core/errors.ts'
import { redact, type Secret } from '../../core/secret.ts'
import {
  type ChainPlace,
  type EvidenceBody,
  type EvidenceRecord,
  type EvidenceValue,
  verifyEvidence,
  writeRecord,
} from './evidence.ts'
import type { EvidenceSigner } from './evidence-key.ts'

/** A shorter text is in too many places to be replaced everywhere. */
const SECRET_CHARACTERS_MIN = 6

/** A file of evidence, open for more. A record is on the disk when `append` returns. */
export interface EvidenceFile {
  readonly path: string
  readonly records: readonly EvidenceRecord[]
  /** Takes out of every later record what one of these secrets is. */
  keepOut(...secrets: readonly (Secret | null)[]): void
  append(body: EvidenceBody): EvidenceRecord
  close(): void
}

export interface EvidenceMeans {
  readonly signer: EvidenceSigner
  readonly clock: Clock
}

/**
 * Makes a file of evidence, which must not be there yet.
 *
 * @throws RescindError `usage` when the file is there, or cannot be made
 */
export function createEvidence(path: string, means: EvidenceMeans): EvidenceFile {
  let file: number
  try {
    file = openSync(path, 'wx', 0o600)
    syncFolder(dirname(path))
  } catch (cause) {
    const message = `The evidence cannot be written to ${path}: it is there already, or the folder does not take it. Name another with --out.`
    throw new RescindError('usage', message, { cause })
  }
  return appender(path, file, [], { no: 0, prev: null }, means)
}

/**
 * Opens the evidence of a drill that did not end, to go on with it.
 *
 * @throws RescindError `evidence_altered` when it is not as it was written, or has ended
 */
export function continueEvidence(path: string, means: EvidenceMeans): EvidenceFile {
  const text = readEvidence(path).toString('latin1')
  const check = verifyEvidence(text, means.signer.keyId)
  if (check.ok) {
    throw new RescindError('usage', `The drill of ${path} has ended: there is nothing to resume.`)
  }
  if (check.fault !== 'cut') {
    throw new RescindError(
      'evidence_altered',
      `${path} cannot be gone on with. ${check.text} Put back what was written, or move it away: then the connection is brought back, and the drill has failed.`,
    )
  }
  // A record that the process died in the middle of was never taken for written.
  const sound = text.endsWith('\n') ? text : text.slice(0, check.bytes[0])
  if (sound !== text) truncateSync(path, sound.length)
  const hash = /"hash":"([0-9a-f]{64})","sig":"[0-9a-f]{128}"\}\n$/.exec(sound)?.[1] ?? null
  const place = { no: check.sound.length, prev: hash }
  return appender(path, openSync(path, 'a'), check.sound, place, means)
}

/** Whether nothing is left of a drill's evidence. */
export function isEvidenceGone(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0
}

/** Reads the evidence of a drill that has ended; undefined where it has not, or is not as it was written. */
export function readEnded(
  path: string,
  { keyId }: EvidenceSigner,
): Pick<EvidenceFile, 'path' | 'records'> | undefined {
  if (isEvidenceGone(path)) return undefined
  const check = verifyEvidence(readEvidence(path), keyId)
  return check.ok ? { path, records: check.records } : undefined
}

/** @throws RescindError `usage` when the file cannot be read */
export function readEvidence(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new RescindError('usage', `The evidence ${path} cannot be read. Check its path.`, {
      cause,
    })
  }
}

function appender(
  path: string,
  file: number,
  before: readonly EvidenceRecord[],
  start: ChainPlace,
  { signer, clock }: EvidenceMeans,
): EvidenceFile {
  const records = [...before]
  const kept: Secret[] = []
  let place = start
  return {
    path,
    records,
    keepOut: (...secrets) => {
      for (const secret of secrets) {
        if (secret !== null && secret.reveal().length >= SECRET_CHARACTERS_MIN) kept.push(secret)
      }
    },
    append(body) {
      const at = new Date(clock.now()).toISOString()
      const clean = withoutSecrets(body, kept) as EvidenceBody
      const { line, hash, record } = writeRecord(clean, at, place, signer.sign)
      writeSync(file, `${line}\n`)
      fsyncSync(file)
      place = { no: place.no + 1, prev: hash }
      records.push(record)
      return record
    },
    close: () => closeSync(file),
  }
}

function withoutSecrets(value: EvidenceValue, secrets: readonly Secret[]): EvidenceValue {
  if (typeof value === 'string') return redact(value, ...secrets)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((one) => withoutSecrets(one, secrets))
  const entries = Object.entries(value).map(([name, one]) => [name, withoutSecrets(one, secrets)])
  return Object.fromEntries(entries)
}

/** A new file is found after a power cut only when its folder is on the disk too. */
function syncFolder(path: string): void {
  // Windows opens no folder.
  if (process.platform === 'win32') return
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
