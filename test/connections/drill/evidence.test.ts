import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import {
  EVIDENCE_FORMAT,
  type EvidenceBody,
  keyIdOf,
  verifyEvidence,
} from '../../../src/connections/drill/evidence.ts'
import { continueEvidence, createEvidence } from '../../../src/connections/drill/evidence-file.ts'
import { openEvidenceKey, signerOf } from '../../../src/connections/drill/evidence-key.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { Secret } from '../../../src/core/secret.ts'

const folder = mkdtempSync(join(tmpdir(), 'rescind-evidence-'))
afterAll(() => rmSync(folder, { recursive: true }))
const signer = openEvidenceKey(join(folder, 'drill-key'))
const means = { signer, clock: systemClock }
const other = signerOf(generateKeyPairSync('ed25519').privateKey)
let files = 0

function write(by = signer, steps = 3): { path: string; text: string } {
  const path = join(folder, `drill-${++files}.jsonl`)
  const file = createEvidence(path, { signer: by, clock: systemClock })
  file.append({
    ...{ kind: 'drill', format: EVIDENCE_FORMAT, drill: 'drl_1' },
    key: { id: by.keyId, public: by.publicKey },
  })
  for (let step = 0; step < steps; step += 1) {
    file.append({ kind: 'step', step, name: 'Ünïcode – “dash”', verdict: 'pass', why: 'done' })
  }
  file.append({ kind: 'end', verdict: 'passed' })
  file.close()
  return { path, text: readFileSync(path, 'latin1') }
}

const { text } = write()
const lines = text.trimEnd().split('\n')
const joined = (some: readonly (string | undefined)[]) => some.map((line) => `${line}\n`).join('')

describe('evidence', () => {
  test('a file as it was written is sound, and names its key', () => {
    expect(verifyEvidence(text)).toMatchObject({ ok: true, keyId: signer.keyId })
    expect(verifyEvidence(Buffer.from(text), signer.keyId)).toMatchObject({ ok: true })
    expect(text).toMatch(/^[\x20-\x7e\n]+$/)
    expect(keyIdOf(signer.publicKey)).toBe(signer.keyId)
  })

  test('every bit of every byte that is turned is refused, and its record named', () => {
    const bytes = Buffer.from(text)
    const starts = lines.map((_, no) => joined(lines.slice(0, no)).length)
    for (let at = 0; at < bytes.length; at += 1) {
      const record = starts.findLastIndex((start) => start <= at)
      for (let bit = 0; bit < 8; bit += 1) {
        const altered = Buffer.from(bytes)
        altered[at] = (altered[at] as number) ^ (1 << bit)
        const check = verifyEvidence(altered)
        const where = `byte ${at}, bit ${bit}: ${JSON.stringify(check).slice(0, 200)}`
        expect(check.ok, where).toBe(false)
        if (check.ok) continue
        // A key that was altered in the first record is found by it, or by the first that it did not sign.
        expect(check.record, where).toBe(record)
        expect(check.text, where).toMatch(/^Record \d+ \(line \d+, bytes \d+ to \d+\): /)
      }
    }
  }, 120_000)

  test('every byte that is taken out or put in is refused', () => {
    for (let at = 0; at < text.length; at += 1) {
      expect(verifyEvidence(text.slice(0, at) + text.slice(at + 1)).ok, `without ${at}`).toBe(false)
      for (const extra of [' ', '\n', '0']) {
        const longer = text.slice(0, at) + extra + text.slice(at)
        expect(verifyEvidence(longer).ok, `with ${JSON.stringify(extra)} at ${at}`).toBe(false)
      }
    }
    expect(verifyEvidence(`${text}\n`).ok).toBe(false)
    expect(verifyEvidence(`\ufeff${text}`).ok).toBe(false)
  })

  const theirs = write(other).text.trimEnd().split('\n')
  test.each<[string, string, string, number]>([
    ['nothing', '', 'not_evidence', 0],
    ['another file', '{"hello":"world"}\n', 'not_evidence', 0],
    ['a report of a drill', '{\n  "drill": "drl_1",\n  "no": 0\n}\n', 'not_evidence', 0],
    ['another file on one line without its end', 'hello', 'not_evidence', 0],
    ['the first record alone, cut', text.slice(0, 40), 'cut', 0],
    ['the first record alone, its end altered', `${lines[0]} \n`, 'altered', 0],
    ['the first record alone, its beginning altered', `x${lines[0]}\n`, 'altered', 0],
    ['the last record cut off', joined(lines.slice(0, -1)), 'cut', 3],
    ['the last line cut in the middle', text.slice(0, -40), 'cut', 4],
    ['the first record cut off', joined(lines.slice(1)), 'cut', 0],
    ['one in the middle taken out', joined(lines.toSpliced(2, 1)), 'cut', 2],
    ['two changed over', joined([lines[0], lines[2], lines[1], lines[3], lines[4]]), 'cut', 1],
    ['one that stands twice', joined(lines.toSpliced(2, 0, lines[1] ?? '')), 'reordered', 2],
    ['one behind the end', joined([...lines, lines[3]]), 'reordered', 5],
    ['one of another drill', joined(lines.with(2, theirs[2] ?? '')), 'altered', 2],
    ['another drill behind the head', joined([lines[0], ...theirs.slice(1)]), 'altered', 1],
  ])('%s is refused', (_name, altered, fault, record) => {
    expect(verifyEvidence(altered)).toMatchObject({ ok: false, fault, record })
  })

  test('one signed by another key is sound in itself, and refused where the key is known', () => {
    const whole = joined(theirs)
    expect(verifyEvidence(whole)).toMatchObject({ ok: true, keyId: other.keyId })
    expect(verifyEvidence(whole, signer.keyId)).toMatchObject({ ok: false, fault: 'other_key' })
  })

  test('an altered record whose hash was made anew is found by its signature', () => {
    const path = join(folder, 'forged.jsonl')
    const forger = { ...signer, sign: other.sign }
    const file = createEvidence(path, { signer: forger, clock: systemClock })
    file.append({
      ...{ kind: 'drill', format: EVIDENCE_FORMAT },
      key: { id: signer.keyId, public: signer.publicKey },
    })
    file.append({ kind: 'end', verdict: 'passed' })
    file.close()
    expect(verifyEvidence(readFileSync(path))).toMatchObject({ fault: 'other_key', record: 0 })
  })
})

describe('evidence that was forged with a key', () => {
  const forge = (name: string, id: string, bodies: readonly EvidenceBody[]) => {
    const path = join(folder, name)
    const file = createEvidence(path, { signer: other, clock: systemClock })
    file.append({
      ...{ kind: 'drill', format: EVIDENCE_FORMAT, drill: 'drl_1' },
      key: { id, public: other.publicKey },
    })
    for (const body of bodies) file.append(body)
    file.close()
    return readFileSync(path)
  }
  const END: EvidenceBody = { kind: 'end', verdict: 'passed' }

  test('a key that bears the id of the trusted one is not taken for it', () => {
    const forged = forge('named.jsonl', signer.keyId, [END])
    for (const keyId of [signer.keyId, undefined]) {
      expect(verifyEvidence(forged, keyId)).toMatchObject({ ok: false, fault: 'not_evidence' })
    }
  })

  test.each<[string, EvidenceBody]>([
    ['a step', { kind: 'step', step: 3, verdict: 'pass' }],
    ['another end', END],
  ])('%s behind the end is refused, though its holder signed it', (name, added) => {
    const failed: EvidenceBody = { kind: 'end', verdict: 'failed' }
    const forged = forge(`${name}.jsonl`, other.keyId, [failed, added])
    expect(verifyEvidence(forged, other.keyId)).toMatchObject({
      ...{ ok: false, fault: 'altered', record: 2 },
      text: expect.stringMatching(/stands behind the end/),
    })
  })
})

describe('the file of evidence', () => {
  test('is only for its owner, and is never written over', () => {
    const { path } = write()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(() => createEvidence(path, means)).toThrow(/is there already/)
    expect(statSync(join(folder, 'drill-key')).mode & 0o777).toBe(0o600)
  })

  test('holds no secret, however it is written', () => {
    const path = join(folder, 'secrets.jsonl')
    const file = createEvidence(path, means)
    const secret = new Secret('s3cr3t/with+signs==')
    file.keepOut(secret, null, new Secret('short'))
    const forms = [secret.reveal(), encodeURIComponent(secret.reveal())]
    file.append({
      kind: 'step',
      why: `the token is ${forms[0]}`,
      evidence: { url: [forms[1] ?? ''] },
    })
    file.close()
    const written = readFileSync(path, 'utf8')
    for (const form of forms) expect(written).not.toContain(form)
    expect(written).toMatch(/\[secret [0-9a-f]{8}\]/)
  })

  test('that ends in the middle of a record is gone on with after the last whole one', () => {
    const { path, text: whole } = write()
    const kept = whole.split('\n').slice(0, 3).join('\n')
    writeFileSync(path, `${kept}\n{"no":3,"kind":"st`)
    const file = continueEvidence(path, means)
    expect(file.records).toHaveLength(3)
    file.append({ kind: 'resumed' })
    file.append({ kind: 'end', verdict: 'passed' })
    file.close()
    expect(verifyEvidence(readFileSync(path), signer.keyId)).toMatchObject({ ok: true })
  })

  test('that was altered, or has ended, is not gone on with', () => {
    const { path, text: whole } = write()
    expect(() => continueEvidence(path, means)).toThrow(/has ended/)
    writeFileSync(path, whole.replace('done', 'gone'))
    expect(() => continueEvidence(path, means)).toThrow(/cannot be gone on with\. Record 1/)
  })

  test('the key is made once, and refused when others can read it', () => {
    const path = join(folder, 'key-2')
    const made = openEvidenceKey(path)
    expect(openEvidenceKey(path).keyId).toBe(made.keyId)
    writeFileSync(join(folder, 'key-3'), 'no key', { mode: 0o600 })
    expect(() => openEvidenceKey(join(folder, 'key-3'))).toThrow(/is not a private key/)
    writeFileSync(join(folder, 'key-4'), readFileSync(path), { mode: 0o644 })
    expect(() => openEvidenceKey(join(folder, 'key-4'))).toThrow(/can be read by others/)
    expect(existsSync(join(folder, 'key-4'))).toBe(true)
  })
})
