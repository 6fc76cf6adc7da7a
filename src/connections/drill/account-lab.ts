import { isRescindError } from '../../core/errors.ts'
import { causeOfChanges } from '../grant-change.ts'
import {
  ChangedGrant,
  type ReauthorizeMeans,
  reauthorizeInstance,
} from '../open-connectors/reauthorize.ts'
import type { Reauthorize } from './context.ts'
import type { Applied } from './platform.ts'

/** The re-authentication of an instance, for a fault: what it refuses is an answer. */
export function openReauthorize(means: ReauthorizeMeans): Reauthorize {
  return async (instance, consent, signal) => {
    const wish = { instance: Number(instance), revoke: null, accept: [], consent, step: () => {} }
    try {
      const { route } = await reauthorizeInstance(wish, { ...means, signal })
      return { ok: true, route, cause: null }
    } catch (error) {
      return refusedBy(error)
    }
  }
}

function refusedBy(error: unknown): Applied {
  if (error instanceof ChangedGrant) {
    return { ok: false, route: 'changed', cause: causeOfChanges(error.changes) }
  }
  if (!isRescindError(error)) throw error
  return { ok: false, route: error.code, cause: null }
}
