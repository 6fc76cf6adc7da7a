import type { Client } from '../../src/server/client-settings.ts'
import type { Core } from '../../src/server/core.ts'
import { isRefusal } from '../../src/server/refusal.ts'

/** Requests under way at once: enough that changes share a flush. */
const WORKERS = 12
/** Few enough that a revocation of one finds several grants. */
const USERS = 6
/** A store in trouble is not asked again at once. */
const TROUBLE_PAUSE_MS = 20

/**
 * One line of the load's ledger. `ask` is written before a request, the others when its promise has
 * resolved: what they say must survive everything.
 */
export type Line =
  | { readonly did: 'ask'; readonly what: Asking; readonly on: string; readonly token?: string }
  | {
      readonly did: 'start'
      readonly on: string
      readonly user: string
      readonly access: string
      readonly refresh: string
    }
  | {
      readonly did: 'rotate'
      readonly on: string
      readonly access: string
      readonly refresh: string
    }
  | { readonly did: 'end'; readonly on: string }
  | { readonly did: 'end_access'; readonly on: string; readonly token: string }
  | { readonly did: 'end_user'; readonly on: string }

type Asking = 'start' | 'rotate' | 'end' | 'end_access' | 'end_user'

export interface LoadOptions {
  readonly core: Core
  readonly client: Client
  /** Names of this load, so that another one on the same store has others. */
  readonly name: string
  readonly random: () => number
  readonly say: (line: Line) => void
  readonly signal: AbortSignal
}

interface Family {
  readonly on: string
  readonly access: string[]
  refresh: string
  isRotating: boolean
}

/** Issues, rotates and revokes at random until it is stopped, and says what it was answered. */
export async function runLoad(options: LoadOptions): Promise<void> {
  const families: Family[] = []
  let count = 0
  const worker = async () => {
    while (!options.signal.aborted) {
      count += 1
      try {
        await doOne(options, families, `${options.name}.${count}`)
      } catch {
        // The store is in trouble: what was asked is in doubt, and nothing was answered.
        await new Promise((resolve) => setTimeout(resolve, TROUBLE_PAUSE_MS))
      }
    }
  }
  await Promise.all(Array.from({ length: WORKERS }, worker))
}

async function doOne(options: LoadOptions, families: Family[], on: string): Promise<void> {
  const { random } = options
  const family = families[Math.floor(random() * families.length)]
  const dice = random()
  if (!family || dice < 0.4) return start(options, families, on)
  if (dice < 0.65) return family.isRotating ? undefined : rotate(options, family)
  if (dice < 0.8) return end(options, families, family)
  if (dice < 0.95) return endAccess(options, family)
  return endUser(options)
}

const askedBy = { actor: 'load' }

async function start({ core, client, name, random, say }: LoadOptions, all: Family[], on: string) {
  const user = `${name}.u${Math.floor(random() * USERS)}`
  say({ did: 'ask', what: 'start', on })
  const answer = await core.issuing.start({
    ...{ client, userId: user, scope: 'read', refreshable: true, asked: askedBy },
    began: await core.issuing.begin(),
  })
  const [access, refresh] = [answer.access_token, answer.refresh_token as string]
  say({ did: 'start', on, user, access, refresh })
  all.push({ on, access: [access], refresh, isRotating: false })
}

async function rotate({ core, client, say }: LoadOptions, family: Family): Promise<void> {
  const { on } = family
  say({ did: 'ask', what: 'rotate', on })
  family.isRotating = true
  try {
    const refreshToken = family.refresh
    const answer = await core.issuing.rotate({ refreshToken, client, scope: null, asked: askedBy })
    if (isRefusal(answer)) return
    const [access, refresh] = [answer.access_token, answer.refresh_token as string]
    say({ did: 'rotate', on, access, refresh })
    family.access.push(access)
    family.refresh = refresh
  } finally {
    family.isRotating = false
  }
}

async function end({ core, client, say }: LoadOptions, families: Family[], family: Family) {
  const { on, refresh } = family
  families.splice(families.indexOf(family), 1)
  say({ did: 'ask', what: 'end', on })
  await core.revoking.token({ token: refresh, clientId: client.id, asked: askedBy })
  say({ did: 'end', on })
}

async function endAccess({ core, client, say }: LoadOptions, family: Family): Promise<void> {
  const token = family.access.at(-1) as string
  say({ did: 'ask', what: 'end_access', on: family.on, token })
  await core.revoking.token({ token, clientId: client.id, asked: askedBy })
  say({ did: 'end_access', on: family.on, token })
}

async function endUser({ core, name, random, say }: LoadOptions): Promise<void> {
  const user = `${name}.u${Math.floor(random() * USERS)}`
  say({ did: 'ask', what: 'end_user', on: user })
  await core.revoking.reach({ user }, 'admin', askedBy)
  say({ did: 'end_user', on: user })
}
