import { isRescindError } from '../../core/errors.ts'
import type { Connection } from './connection.ts'
import { isSameId } from './ids.ts'
import { type ComponentName, listComponents, type PolicyType, readComponents } from './metadata.ts'
import { childOf, childrenOf, childText, element, withChild, type XmlNode } from './metadata-xml.ts'

/** What a policy does to an app's users; null where there is none. */
export interface Policy {
  readonly policyAction: string | null
  readonly sessionLevel: string | null
}

/** The component that holds an app's policy, as it was read. */
export interface PolicyComponent {
  readonly type: PolicyType
  readonly fullName: string
  readonly children: readonly XmlNode[]
}

/** An app, as its component is looked for. */
export interface PolicyOwner {
  readonly kind: string
  readonly id: string
  readonly developerName: string | null
}

/** Policies read to learn who is blocked: ten a call, so that this stays a few dozen calls. */
const POLICIES_READ_MAX = 400

/** Finds the component that holds an app's policy; undefined when the org has none for it. */
export async function findPolicy(
  connection: Connection,
  app: PolicyOwner,
  signal?: AbortSignal,
): Promise<PolicyComponent | undefined> {
  const type = typeOf(app)
  const listed = await listComponents(connection, type, signal)
  const names = type === 'ConnectedApp' ? connectedNames(listed, app) : listed
  const fullNames = names.map(({ fullName }) => fullName)
  const records = await readComponents(connection, type, fullNames, signal)
  const own = records
    .map((record) => ({ record, component: componentOf(type, record) }))
    .filter(({ record, component }) => isPolicyOf(record, component, app, listed))
  // Two that fit would leave open which app is put out.
  return own.length === 1 ? own[0]?.component : undefined
}

function typeOf(app: PolicyOwner): PolicyType {
  return app.kind === 'external' ? 'ExtlClntAppOauthConfigurablePolicies' : 'ConnectedApp'
}

function componentOf(type: PolicyType, record: XmlNode): PolicyComponent {
  return { type, fullName: childText(record, 'fullName') ?? '', children: childrenOf(record) }
}

function isPolicyOf(
  record: XmlNode,
  { type, fullName }: PolicyComponent,
  app: PolicyOwner,
  listed: readonly ComponentName[],
): boolean {
  return type === 'ConnectedApp'
    ? connectedNames(listed, app).some((name) => name.fullName === fullName)
    : childText(record, 'externalClientApplication') === app.developerName
}

/** Reads a component again by its name. */
export async function readPolicy(
  connection: Connection,
  type: PolicyType,
  fullName: string,
  signal?: AbortSignal,
): Promise<PolicyComponent | undefined> {
  const [record] = await readComponents(connection, type, [fullName], signal)
  return record && componentOf(type, record)
}

/** An app is found by its id, or else by its name, which a package prefixes with its namespace. */
function connectedNames(
  listed: readonly ComponentName[],
  app: PolicyOwner,
): readonly ComponentName[] {
  const byId = listed.filter((component) => isSameId(component.id, app.id))
  if (byId.length > 0) return byId
  const name = app.developerName
  return listed.filter(
    ({ fullName }) => name !== null && (fullName === name || fullName.endsWith(`__${name}`)),
  )
}

/** Says what policy a component holds. */
export function policyOf({ type, children }: PolicyComponent): Policy {
  const holder =
    type === 'ConnectedApp' ? findIn(children, 'sessionPolicy') : element(type, children)
  if (!holder) return { policyAction: null, sessionLevel: null }
  return {
    policyAction: childText(holder, 'policyAction'),
    sessionLevel: childText(
      holder,
      type === 'ConnectedApp' ? 'sessionLevel' : 'requiredSessionLevel',
    ),
  }
}

/** Returns a component's children with another policy; what is null is taken out. */
export function withPolicy(component: PolicyComponent, policy: Policy): readonly XmlNode[] {
  const { type, children } = component
  const action = optional('policyAction', policy.policyAction)
  if (type !== 'ConnectedApp') {
    const set = withChild(children, 'policyAction', action)
    const level = optional('requiredSessionLevel', policy.sessionLevel)
    return policy.sessionLevel === null ? set : withChild(set, 'requiredSessionLevel', level)
  }
  const old = findIn(children, 'sessionPolicy')
  const inner = withChild(old ? childrenOf(old) : [], 'policyAction', action)
  const level = optional('sessionLevel', policy.sessionLevel)
  const all = withChild(inner, 'sessionLevel', level)
  return withChild(children, 'sessionPolicy', all.length > 0 ? element('sessionPolicy', all) : null)
}

function optional(name: string, value: string | null): XmlNode | null {
  return value === null ? null : element(name, value)
}

function findIn(children: readonly XmlNode[], name: string): XmlNode | undefined {
  return childOf(element('component', children), name)
}

/**
 * Lists which apps are blocked now. What cannot be read counts as not blocked: an app is then said
 * to be able to come back, which errs on the safe side.
 */
export async function listBlocked(
  connection: Connection,
  apps: readonly PolicyOwner[],
  signal?: AbortSignal,
): Promise<ReadonlySet<string>> {
  const blocked = new Set<string>()
  try {
    for (const type of ['ConnectedApp', 'ExtlClntAppOauthConfigurablePolicies'] as const) {
      const owners = apps.filter((app) => typeOf(app) === type)
      if (owners.length === 0) continue
      const listed = await listComponents(connection, type, signal)
      const names = listed.slice(0, POLICIES_READ_MAX).map(({ fullName }) => fullName)
      for (const record of await readComponents(connection, type, names, signal)) {
        const component = componentOf(type, record)
        if (policyOf(component).policyAction !== 'Block') continue
        const owner = owners.find((app) => isPolicyOf(record, component, app, listed))
        if (owner) blocked.add(owner.id)
      }
    }
  } catch (error) {
    if (!isRescindError(error, 'not_permitted', 'answer_invalid', 'provider_busy')) throw error
  }
  return blocked
}
