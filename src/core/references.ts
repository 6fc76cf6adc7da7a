import { readFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { RescindError } from './errors.ts'
import { Secret } from './secret.ts'

/** Where the references of a configuration file lead. */
export interface ReferenceSources {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The folder that a relative file is looked for in. */
  readonly folder: string
  /** The configuration file, for messages. */
  readonly path: string
}

/** A value is wholly one reference: a secret is never glued to other text. */
const REFERENCE = /^\$\{(env|file):([^}]+)\}$/

/**
 * Replaces `${env:NAME}` and `${file:path}` by a Secret, at any depth. The reference is left as a
 * function of when it is needed: what is not used may miss its variables.
 *
 * @param at the value's place in the file, for messages
 * @throws RescindError `config_invalid` when a used reference leads nowhere
 */
export function resolveReferences(value: unknown, at: string, sources: ReferenceSources): unknown {
  if (typeof value === 'string') {
    const [, kind, name] = REFERENCE.exec(value) ?? []
    if (kind === undefined || name === undefined) return value
    return kind === 'env' ? fromEnv(name, at, sources) : fromFile(name, at, sources)
  }
  if (Array.isArray(value))
    return value.map((item, i) => resolveReferences(item, `${at}.${i}`, sources))
  if (value !== null && typeof value === 'object') {
    const filled: Record<string, unknown> = {}
    for (const [key, inner] of Object.entries(value)) {
      Object.defineProperty(filled, key, {
        enumerable: true,
        get: () => resolveReferences(inner, `${at}.${key}`, sources),
      })
    }
    return filled
  }
  return value
}

function fromEnv(name: string, at: string, { env, path }: ReferenceSources): Secret {
  const value = env[name]
  if (value === undefined || value === '') {
    const message = `${path}: ${at} wants the environment variable ${name}, which is not set.`
    throw new RescindError('config_invalid', message)
  }
  return new Secret(value)
}

function fromFile(name: string, at: string, { folder, path }: ReferenceSources): Secret {
  const file = isAbsolute(name) ? name : join(folder, name)
  try {
    return new Secret(readFileSync(file, 'utf8').replace(/\r?\n$/, ''))
  } catch (error) {
    const message = `${path}: ${at} wants the file ${file}, which cannot be read.`
    throw new RescindError('config_invalid', message, { cause: error })
  }
}
