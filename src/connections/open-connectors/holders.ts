import type { Fingerprint } from '../../core/secret.ts'
import type { ConnectionStore } from '../../store/connections.ts'
import type { BudgetMeans } from './budget.ts'
import { type Instance, tokensOf } from './instance.ts'
import { otherInstances } from './other-instances.ts'

/** Who else lives on the grant of an instance. */
export interface Holders {
  /** Instances by their ids, and a connection of our own vault. */
  readonly names: readonly string[]
  /** Why not all could be looked at, in a sentence; null where they were. */
  readonly unseen: string | null
}

/** Finds who else holds a token of an instance's grant, in whatever state and of whomever it is. */
export async function findHolders(
  instance: Instance,
  means: Pick<BudgetMeans, 'client' | 'fingerprint' | 'signal'> & {
    readonly connections?: Pick<ConnectionStore, 'isHeld'> | undefined
  },
): Promise<Holders> {
  const { connections } = means
  const own = printsOf(instance, means)
  const held = await Promise.all(own.map((print) => connections?.isHeld(print)))
  const names = held.some(Boolean) ? ['a connection of our own vault'] : []
  let unseen: string | null = null
  for await (const other of otherInstances(instance.id, means)) {
    if ('unseen' in other) unseen ??= other.unseen
    else if (printsOf(other, means).some((print) => own.includes(print))) {
      names.push(`instance ${other.id}`)
    }
  }
  return { names, unseen }
}

function printsOf(
  instance: Instance,
  { fingerprint }: Pick<BudgetMeans, 'fingerprint'>,
): readonly Fingerprint[] {
  const tokens = Object.values(tokensOf(instance)).filter((token) => token !== null)
  return tokens.map(fingerprint)
}
