import type { ConformanceCase, Need } from './case.ts'
import { type ConformanceConfig, ROLES, type Role } from './config.ts'
import type { Target } from './target.ts'

/** What a run has for its cases. */
export interface Means {
  readonly config: ConformanceConfig
  readonly target: Target
  readonly bruteForce: boolean
}

/** Returns the sentence of the first thing that a case lacks, or undefined when it has all. */
export function missingNeed(entry: ConformanceCase, means: Means): string | undefined {
  for (const need of entry.needs) {
    const missing = lacks(need, means)
    if (missing !== undefined) return missing
  }
  return undefined
}

function lacks(need: Need, means: Means): string | undefined {
  const { config, target } = means
  const [kind, role] = need.split(':') as [string, Role | undefined]
  if (role !== undefined) return lacksClient(kind, role, means)
  if (need === 'rs1') return lacksClient('client', 'rs1', means)
  switch (need) {
    case 'revocation':
      return target.revocation ? undefined : 'The server names no revocation endpoint.'
    case 'introspection':
      return target.introspection ? undefined : 'The server names no introspection endpoint.'
    case 'metadata':
      return target.metadata ? undefined : 'It needs metadata: give the issuer.'
    case 'resource':
      return config.resource || target.userinfo
        ? undefined
        : 'It needs something that takes access tokens: add resource.url.'
    case 'second-user': {
      const { user } = config.tokens
      const has = user?.by === 'command' || (user?.by === 'code' && user.secondUser !== undefined)
      return has ? undefined : 'It needs a second user: add tokens.user.secondUser.'
    }
    case 'brute-force':
      return means.bruteForce
        ? undefined
        : 'It sends many wrong secrets: ask for it by --brute-force.'
    default:
      return undefined
  }
}

function lacksClient(kind: string, role: Role, { config }: Means): string | undefined {
  const { user, service } = config.tokens
  const client = config.clients[role]
  if (client === undefined) return `It needs ${ROLES[role]}: add clients.${role}.`
  switch (kind) {
    case 'token':
      return user || service ? undefined : 'It needs tokens: add tokens.user or tokens.service.'
    case 'grant':
    case 'refresh':
      return user ? undefined : 'It needs tokens of a user: add tokens.user.'
    case 'code':
      return user?.by === 'code' ? undefined : 'It needs codes: add tokens.user with "by: code".'
    case 'service':
      if (client.auth === 'none') return `${role} is public, and has no tokens of its own.`
      return service ? undefined : 'It needs tokens of a client itself: add tokens.service.'
    default:
      return undefined
  }
}
