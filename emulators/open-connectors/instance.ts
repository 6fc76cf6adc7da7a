import { type Account, makeElementToken } from './account.ts'
import { type Configuration, maskSecrets, secretsOf } from './configuration.ts'
import { describeElement, type Element } from './elements.ts'
import type { TokenRefusal } from './provider.ts'

/** One authenticated instance of an element. */
export interface Instance {
  id: number
  /** The Element token. */
  token: string
  name: string
  tags: string[]
  readonly element: Element
  configuration: Configuration
  disabled: boolean
  externalAuthentication: 'none' | 'initial'
  refreshing: Refreshing
  /** The last good answer of each path, for a platform that hides what it should tell. */
  readonly cache: Map<string, string>
  /** How it looked before its last change, for reads that lag. */
  before: Shown | undefined
  changedAt: number
  /** Over its whole life. */
  refreshAttempts: number
  refreshSuccesses: number
}

/** Where an instance stands with its refreshes; a re-authentication begins anew. */
export interface Refreshing {
  failures: number
  lastFailedAt: number
  lastRefusal: TokenRefusal | undefined
  locked: boolean
  /** A refresh under way. */
  running: Promise<TokenRefusal | undefined> | undefined
  /** The platform's own repetition of a failed one. */
  repeating: Promise<void> | undefined
}

/** What reads show of an instance. */
type Shown = Pick<
  Instance,
  'id' | 'token' | 'name' | 'tags' | 'configuration' | 'disabled' | 'externalAuthentication'
> & { readonly failing: boolean }

/** What a new instance starts with. */
export interface NewInstance {
  readonly element: Element
  readonly name: string
  readonly tags: readonly string[]
  readonly configuration: Configuration
  readonly externalAuthentication: Instance['externalAuthentication']
}

/** Adds an instance to an account. */
export function addInstance(account: Account, fresh: NewInstance): Instance {
  account.lastInstanceId += 1
  const instance: Instance = {
    ...fresh,
    id: account.lastInstanceId,
    token: makeElementToken(account),
    tags: [...fresh.tags],
    disabled: false,
    refreshing: startRefreshing(),
    cache: new Map(),
    before: undefined,
    changedAt: account.clock.now(),
    refreshAttempts: 0,
    refreshSuccesses: 0,
  }
  noteSecrets(account, fresh.configuration)
  account.instances.set(instance.id, instance)
  return instance
}

/** Gives the state of refreshes that an instance begins with, and again when it was re-authenticated or enabled. */
export function startRefreshing(): Refreshing {
  return {
    failures: 0,
    lastFailedAt: Number.NEGATIVE_INFINITY,
    lastRefusal: undefined,
    locked: false,
    running: undefined,
    repeating: undefined,
  }
}

/** Changes an instance, and keeps how it looked for reads that lag. */
export function changeInstance(account: Account, instance: Instance, change: () => void): void {
  instance.before = snapshot(instance)
  instance.changedAt = account.clock.now()
  change()
  noteSecrets(account, instance.configuration)
}

function snapshot(instance: Instance): Shown {
  const { id, token, name, tags, configuration, disabled, externalAuthentication } = instance
  return {
    id,
    token,
    name,
    tags: [...tags],
    configuration: { ...configuration },
    disabled,
    externalAuthentication,
    failing: instance.refreshing.failures > 0,
  }
}

/** Remembers the secrets of a configuration among those of the account. */
export function noteSecrets(account: Account, configuration: Configuration): void {
  for (const secret of secretsOf(configuration)) account.secrets.add(secret)
}

/** How an answer shows an instance. */
export interface Presentation {
  /** Without configuration, `disabled` and interactions, as the short form of lists has it. */
  readonly slim?: boolean
  readonly inList?: boolean
  /** The answer to a creation. */
  readonly created?: boolean
  /** The answer to a change shows the change, whatever lags. */
  readonly fresh?: boolean
}

/** Gives an instance as an answer shows it. */
export function presentInstance(
  account: Account,
  instance: Instance,
  how: Presentation = {},
): Record<string, unknown> {
  const { switches, clock } = account
  const lags = !how.fresh && clock.now() < instance.changedAt + switches.readLagMs
  const shown = (lags ? instance.before : undefined) ?? snapshot(instance)
  const head = {
    id: shown.id,
    name: shown.name,
    token: shown.token,
    element: describeElement(instance.element),
    elementId: instance.element.id,
    tags: how.created && switches.tagsOnCreate === 'objects' ? asObjects(shown) : shown.tags,
    valid: validOf(account, shown, how.inList ?? false),
    maxCacheSize: 0,
    cacheTimeToLive: 0,
    cachingEnabled: false,
  }
  if (how.slim) return head
  return {
    ...head,
    provisionInteractions: [],
    disabled: shown.disabled,
    eventsEnabled: false,
    traceLoggingEnabled: false,
    externalAuthentication: shown.externalAuthentication,
    configuration:
      switches.secretsInAnswers === 'masked'
        ? maskSecrets(shown.configuration)
        : shown.configuration,
  }
}

function asObjects(shown: Shown): readonly { readonly id: number; readonly name: string }[] {
  return shown.tags.map((name, at) => ({ id: shown.id * 10 + at, name }))
}

function validOf({ switches }: Account, shown: Shown, inList: boolean): boolean {
  if (switches.valid === 'always-true' || switches.notices === 'never') return true
  if (switches.valid === 'list-differs' && inList) return true
  return !shown.failing && !shown.disabled
}
