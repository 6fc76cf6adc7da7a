import type { Connection } from './connection.ts'
import { isSameId } from './ids.ts'
import { listComponents, type PolicyType, readComponents } from './metadata.ts'
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

/** Finds the component that holds an app's policy; undefined when the org has none for it. */
export async function findPolicy(
  connection: Connection,
  app: PolicyOwner,
  signal?: AbortSignal,
): Promise<PolicyComponent | undefined> {
  const type = app.kind === 'external' ? 'ExtlClntAppOauthConfigurablePolicies' : 'ConnectedApp'
  const listed = await listComponents(connection, type, signal)
  const names = type === 'ConnectedApp' ? connectedNames(listed, app) : listed
  const fullNames = names.map(({ fullName }) => fullName)
  const records = await readComponents(connection, type, fullNames, signal)
  const own = records.filter(
    (record) =>
      type === 'ConnectedApp' ||
      childText(record, 'externalClientApplication') === app.developerName,
  )
  // Two that fit would leave open which app is put out.
  const [record] = own.length === 1 ? own : []
  return (
    record && { type, fullName: childText(record, 'fullName') ?? '', children: childrenOf(record) }
  )
}

/** Reads a component again by its name. */
export async function readPolicy(
  connection: Connection,
  type: PolicyType,
  fullName: string,
  signal?: AbortSignal,
): Promise<PolicyComponent | undefined> {
  const [record] = await readComponents(connection, type, [fullName], signal)
  return record && { type, fullName, children: childrenOf(record) }
}

/** An app is found by its id, or else by its name, which a package prefixes with its namespace. */
function connectedNames(
  listed: readonly { readonly fullName: string; readonly id: string | null }[],
  app: PolicyOwner,
) {
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
