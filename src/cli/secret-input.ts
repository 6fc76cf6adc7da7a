import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { isCancel, password } from '@clack/prompts'
import { RescindError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'
import type { Io } from './io.ts'

/** A JWT with many claims has some kilobytes, a PEM key as well; past this it is another file. */
const SECRET_BYTES_MAX = 64 * 1024

/**
 * Where a secret is to be read from. What a person wrote after these options is never repeated in a
 * message: people paste the secret itself there.
 */
export interface SecretSource {
  readonly file?: string | undefined
  readonly env?: string | undefined
}

/**
 * Reads a secret from the file or the environment variable that was named; undefined when neither
 * was.
 *
 * @param what the secret in words, with its options, for messages: `token (--token-file)`
 * @throws RescindError `usage`, `token_missing`
 */
export async function readNamedSecret(
  io: Io,
  source: SecretSource,
  what: string,
): Promise<Secret | undefined> {
  if (source.file !== undefined && source.env !== undefined) {
    throw new RescindError('usage', `Two sources for the ${what} are given: leave one out.`)
  }
  if (source.env !== undefined) {
    const value = io.env[source.env]
    if (value !== undefined) return asSecret(value, what)
    const message = `The environment variable named for the ${what} is not set. Export it, and name it without a "$".`
    throw new RescindError('token_missing', message)
  }
  if (source.file !== undefined) return asSecret(await readFile(io, source.file, what), what)
  return undefined
}

/**
 * Reads a secret from standard input: a hidden prompt on a terminal, all of it otherwise.
 *
 * @throws RescindError `token_missing`, `stopped_by_signal`
 */
export async function readSecretInput(io: Io, what: string): Promise<Secret> {
  if (!io.stdin.isTTY) return asSecret(await readAll(io.stdin, what), what)
  const typed = await password({
    message: `The ${what} (it is not shown):`,
    input: io.stdin,
    output: io.stderr,
    signal: io.signal,
  })
  if (isCancel(typed)) throw new RescindError('stopped_by_signal', 'Stopped; nothing was sent.')
  return asSecret(typed ?? '', what)
}

/**
 * Refuses what cannot be one token: RFC 6749 appendix A.12 and A.17 allow visible ASCII and spaces.
 *
 * @throws RescindError `usage`
 */
export function checkOneToken(token: Secret): Secret {
  const value = token.reveal()
  if (/[\r\n]/.test(value.trim())) {
    throw new RescindError('usage', 'The token has several lines. Give one token at a time.')
  }
  if (!/^[\x21-\x7e]+$/.test(value)) {
    const message =
      'The token holds spaces or characters that no token has. Give the token alone, without "Bearer" or quotes.'
    throw new RescindError('usage', message)
  }
  return token
}

/** Editors and echo end a line; a token, a secret and a key never end in one. */
function asSecret(text: string, what: string): Secret {
  const secret = new Secret(text.replace(/\r?\n$/, ''))
  if (!secret.isEmpty) return secret
  throw new RescindError('token_missing', `The ${what} is empty. Check where it is read from.`)
}

async function readFile(io: Io, path: string, what: string): Promise<string> {
  try {
    await using file = await open(resolve(io.cwd, path))
    return await readAll(file.createReadStream({ autoClose: false }), what)
  } catch (error) {
    if (error instanceof RescindError) throw error
    const code = String((error as { code?: unknown }).code ?? 'unknown error')
    const message = `The file of the ${what} cannot be read (${code}). Check its path and its mode.`
    throw new RescindError('token_missing', message)
  }
}

async function readAll(stream: AsyncIterable<Buffer | string>, what: string): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream) {
    chunks.push(Buffer.from(chunk))
    bytes += chunks.at(-1)?.length ?? 0
    if (bytes > SECRET_BYTES_MAX) {
      const message = `The ${what} has more than ${SECRET_BYTES_MAX / 1024} KB. Check that it is the right file.`
      throw new RescindError('usage', message)
    }
  }
  return Buffer.concat(chunks).toString('utf8')
}
