import type { Account } from './account.ts'
import type { Call } from './call.ts'
import type { Instance } from './instance.ts'

/** The parts of an Authorization header, by their names in lower case. */
export type Credentials = ReadonlyMap<'user' | 'organization' | 'element', string>

/**
 * Reads `User …, Organization …, Element …`, in any order. Secrets hold `+`, `/` and `=`, so a part is split at its
 * first blank only. Gives undefined where a part has another name, stands twice, or is empty: Basic and Bearer too.
 */
export function readAuthorization(header: string | undefined): Credentials | undefined {
  const parts = new Map<'user' | 'organization' | 'element', string>()
  for (const part of (header ?? '').split(',')) {
    const [, name = '', secret = ''] =
      /^\s*(User|Organization|Element)\s+(\S+)\s*$/i.exec(part) ?? []
    const key = name.toLowerCase() as 'user' | 'organization' | 'element'
    if (secret === '' || parts.has(key)) return undefined
    parts.set(key, secret)
  }
  return parts
}

/** Who calls: the account's user, and with an Element token the instance that it names. */
export interface Caller {
  readonly instance: Instance | undefined
}

/**
 * Judges the header of a call: the user's secret is always needed, and beside it the organization's or, for
 * calls through an instance, the Element token. Whatever is there must be right. Gives undefined where it is not.
 */
export function authenticate(call: Call, needs: 'organization' | 'element'): Caller | undefined {
  const { account } = call
  const given = readAuthorization(call.headers.authorization)
  if (given?.get('user') !== account.userSecret) return undefined
  const organization = given.get('organization')
  const lacks = organization === undefined && needs === 'organization'
  const isWrong = organization !== undefined && organization !== account.organizationSecret
  if (lacks || isWrong) return undefined
  const token = given.get('element')
  if (token === undefined) return needs === 'organization' ? { instance: undefined } : undefined
  const instance = findByToken(account, token)
  return instance === undefined ? undefined : { instance }
}

function findByToken(account: Account, token: string): Instance | undefined {
  return [...account.instances.values()].find((instance) => instance.token === token)
}
