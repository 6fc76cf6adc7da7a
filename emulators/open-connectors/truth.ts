import type { Account } from './account.ts'
import type { Instance } from './instance.ts'

/** One instance as it really is. Holds secrets. */
export interface InstanceTruth {
  readonly id: number
  readonly name: string
  readonly elementKey: string
  readonly elementToken: string
  readonly tags: readonly string[]
  readonly accessToken: string | null
  readonly refreshToken: string | null
  readonly clientSecret: string | null
  readonly identityUrl: string | null
  readonly disabled: boolean
  /** Five refreshes failed, and no more are sent. */
  readonly locked: boolean
  /** In a row, since the last that worked. */
  readonly failures: number
  /** Over its whole life, good and refused. */
  readonly refreshAttempts: number
  readonly refreshSuccesses: number
}

/** What is really so, whatever the account's answers say. */
export interface AccountTruth {
  instances(): IterableIterator<InstanceTruth>
  instance(id: number): InstanceTruth | undefined
  /** Every secret that the account ever made or was given, for a search of outputs that must not hold one. */
  secrets(): IterableIterator<string>
}

/** Makes the ground truth of an account. */
export function createTruth(account: Account): AccountTruth {
  return {
    instances: () => eachTruth(account),
    instance: (id) => {
      const instance = account.instances.get(id)
      return instance === undefined ? undefined : truthOf(instance)
    },
    secrets: () => account.secrets.values(),
  }
}

function* eachTruth(account: Account): IterableIterator<InstanceTruth> {
  for (const instance of account.instances.values()) yield truthOf(instance)
}

function truthOf(instance: Instance): InstanceTruth {
  const { id, name, element, token, tags, configuration, disabled, refreshing } = instance
  return {
    id,
    name,
    elementKey: element.key,
    elementToken: token,
    tags,
    accessToken: configuration['oauth.user.token'] ?? null,
    refreshToken: configuration['oauth.user.refresh_token'] ?? null,
    clientSecret: configuration['oauth.api.secret'] ?? null,
    identityUrl: configuration['sfdc.user.id.url'] ?? null,
    disabled,
    locked: refreshing.locked,
    failures: refreshing.failures,
    refreshAttempts: instance.refreshAttempts,
    refreshSuccesses: instance.refreshSuccesses,
  }
}
