import { RescindError } from '../../core/errors.ts'
import type { Io } from '../io.ts'

/** Inputs whose value would stand in the argument vector, and in a shell's history. */
const SECRET_FIELD = /pass|secret|pin|otp|token/i

export interface FieldOptions {
  readonly formField?: readonly string[]
  readonly formFieldEnv?: readonly string[]
}

/**
 * Reads the inputs of a login from `name=value` and, for secrets, `name=VARIABLE`; undefined where none
 * was given.
 *
 * @throws RescindError `usage`, `token_missing`
 */
export function readFormFields(
  io: Io,
  { formField = [], formFieldEnv = [] }: FieldOptions,
): Readonly<Record<string, string>> | undefined {
  if (formField.length + formFieldEnv.length === 0) return undefined
  const plain = formField.map((text) => {
    const [name, value] = partsOf(text, '--form-field')
    if (!SECRET_FIELD.test(name)) return [name, value] as const
    throw new RescindError(
      'usage',
      `The input ${name} holds a secret: name the variable that has it with --form-field-env ${name}=VARIABLE.`,
    )
  })
  const secret = formFieldEnv.map((text) => {
    const [name, variable] = partsOf(text, '--form-field-env')
    const value = io.env[variable]
    if (value) return [name, value] as const
    const message = `The environment variable for the input ${name} is not set.`
    throw new RescindError('token_missing', message)
  })
  return Object.fromEntries([...plain, ...secret])
}

function partsOf(text: string, option: string): readonly [string, string] {
  const [, name, value] = /^([\w.:-]+)=(.+)$/s.exec(text) ?? []
  if (name !== undefined && value !== undefined) return [name, value]
  throw new RescindError('usage', `${option} takes the name of an input and =, like username=ann.`)
}
