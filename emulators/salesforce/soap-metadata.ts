import { type Answer, xmlAnswer } from '../answer.ts'
import type { App } from './apps.ts'
import type { Call } from './call.ts'
import { isPermitted, liveSession, type Org, setAppBlocked } from './org.ts'
import type { Session } from './sessions.ts'
import { elementText, elementTexts, escapeXml, soapEnvelope, soapFault } from './soap-xml.ts'

const NAMESPACE = 'http://soap.sforce.com/2006/04/metadata'
const CONNECTED_APP = 'ConnectedApp'
const ECA_POLICY = 'ExtlClntAppOauthConfigurablePolicies'
type MetadataType = typeof CONNECTED_APP | typeof ECA_POLICY
const TYPES: readonly string[] = [CONNECTED_APP, ECA_POLICY]
/** A session policy exists in ConnectedApp from this version on. */
const POLICY_ACTION_FROM = 49

/**
 * Answers the Metadata API as far as putting an app out needs it: readMetadata, updateMetadata, listMetadata and
 * describeMetadata on ConnectedApp and on the OAuth policies of External Client Apps.
 * @see https://developer.salesforce.com/docs/atlas.en-us.api_meta.meta/api_meta/meta_connectedapp.htm
 */
export function answerMetadata(call: Call, version: string): Answer {
  const { body } = call
  const session = liveSession(call.org, elementText(body, 'sessionId') ?? '')
  if (session === undefined) {
    return soapFault('INVALID_SESSION_ID', 'Invalid Session ID found in SessionHeader')
  }
  if (!mayManage(call.org, session)) {
    const message = 'use of the Metadata API requires a user with the ModifyAllData permission'
    return soapFault('INSUFFICIENT_ACCESS', message)
  }
  const [, operation = ''] = /<(?:\w+:)?Body[^>]*>\s*<(?:\w+:)?(\w+)/.exec(body) ?? []
  switch (operation) {
    case 'readMetadata':
      return reply(operation, readAll(call))
    case 'listMetadata':
      return reply(operation, listAll(call))
    case 'describeMetadata':
      return reply(operation, describeAll())
    case 'updateMetadata':
      return reply(operation, updateAll(call, session, version))
    default:
      return soapFault('UNKNOWN_EXCEPTION', `operation not supported by this org: ${operation}`)
  }
}

/** Customize Application, and with it Modify All Data or Manage Connected Apps. */
function mayManage(org: Org, session: Session): boolean {
  const either =
    isPermitted(org, session, 'ModifyAllData') || isPermitted(org, session, 'ManageRemoteAccess')
  return either && isPermitted(org, session, 'CustomizeApplication')
}

function reply(operation: string, inner: string): Answer {
  const wrapped = `<${operation}Response>${inner}</${operation}Response>`
  return xmlAnswer(200, soapEnvelope(wrapped, NAMESPACE))
}

function appsOf(org: Org, type: string): readonly App[] {
  const kind = type === CONNECTED_APP ? 'connected' : 'external'
  return org.apps.filter((app) => app.kind === kind)
}

/** The name under which the metadata of an app is kept. */
function fullNameOf(app: App): string {
  return app.kind === 'external' ? `${app.developerName}_oauthPlcy` : app.developerName
}

function findApp(org: Org, type: string, fullName: string): App | undefined {
  const named = appsOf(org, type).find((app) => fullNameOf(app) === fullName)
  if (named !== undefined || type !== CONNECTED_APP) return named
  if (org.switches.blockUninstalledApps === 'refused') return undefined
  return org.apps.find((app) => app.kind === 'uninstalled' && app.developerName === fullName)
}

function readAll(call: Call): string {
  const type = elementText(call.body, 'type') ?? ''
  const records = elementTexts(call.body, 'fullNames').map((name) => {
    const app = findApp(call.org, type, name)
    return app === undefined ? '<records xsi:nil="true"/>' : recordOf(app)
  })
  return `<result>${records.join('')}</result>`
}

function recordOf(app: App): string {
  const policy =
    app.policyAction === null && app.sessionLevel === null
      ? ''
      : optional('policyAction', app.policyAction) + optional('sessionLevel', app.sessionLevel)
  const name = `<fullName>${escapeXml(fullNameOf(app))}</fullName>`
  const label = `<label>${escapeXml(app.label)}</label>`
  if (app.kind === 'external') {
    const users = app.adminApproved ? 'AdminApprovedPreAuthorized' : 'AllSelfAuthorized'
    return `<records xsi:type="${ECA_POLICY}">${name}<externalClientApplication>${escapeXml(app.developerName)}</externalClientApplication>${label}<permittedUsersPolicyType>${users}</permittedUsersPolicyType>${policy}</records>`
  }
  const callbacks = `<callbackUrl>${escapeXml(app.callbackUrls.join('\n'))}</callbackUrl>`
  const config = `${callbacks}<consumerKey>${escapeXml(app.clientId)}</consumerKey><isAdminApproved>${app.adminApproved}</isAdminApproved>${app.scopes.map((scope) => `<scopes>${scopeName(scope)}</scopes>`).join('')}`
  const session = policy === '' ? '' : `<sessionPolicy>${policy}</sessionPolicy>`
  return `<records xsi:type="${CONNECTED_APP}">${name}<contactEmail>admin@acme.example</contactEmail>${label}<oauthConfig>${config}</oauthConfig>${session}</records>`
}

/** The Metadata API spells scopes its own way: `refresh_token` is RefreshToken. */
function scopeName(scope: string): string {
  if (scope === 'id') return 'Basic'
  return scope.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function optional(name: string, value: string | null): string {
  return value === null ? '' : `<${name}>${value}</${name}>`
}

function listAll({ org, body }: Call): string {
  const results = elementTexts(body, 'type').flatMap((type) =>
    TYPES.includes(type)
      ? appsOf(org, type).map((app) => {
          const name = escapeXml(fullNameOf(app))
          return `<result><createdById>${org.users[0]!.id}</createdById><fileName>${type}/${name}</fileName><fullName>${name}</fullName><id>${app.applicationId}</id><type>${type}</type></result>`
        })
      : [],
  )
  return results.join('')
}

function describeAll(): string {
  const objects = [
    ['connectedApps', 'connectedApp', CONNECTED_APP],
    ['extlClntAppOauthPolicies', 'ecaOauthPlcy', ECA_POLICY],
  ].map(
    ([directory, suffix, name]) =>
      `<metadataObjects><directoryName>${directory}</directoryName><inFolder>false</inFolder><metaFile>false</metaFile><suffix>${suffix}</suffix><xmlName>${name}</xmlName></metadataObjects>`,
  )
  return `<result>${objects.join('')}<organizationNamespace/><partialSaveAllowed>true</partialSaveAllowed><testRequired>false</testRequired></result>`
}

function updateAll(call: Call, session: Session, version: string): string {
  const parts = [
    ...call.body.matchAll(/<(?:\w+:)?metadata\b([^>]*)>([\s\S]*?)<\/(?:\w+:)?metadata>/g),
  ]
  return parts
    .map(([, attributes = '', inner = '']) => {
      const type = /type="(?:\w+:)?(\w+)"/.exec(attributes)?.[1] ?? ''
      return updateOne(call, session, { type, inner, version })
    })
    .join('')
}

interface Update {
  readonly type: string
  readonly inner: string
  readonly version: string
}

function updateOne(call: Call, session: Session, update: Update): string {
  const { org } = call
  const name = elementText(update.inner, 'fullName') ?? ''
  const app = findApp(org, update.type, name)
  if (app === undefined) {
    return failure(name, 'INVALID_CROSS_REFERENCE_KEY', `no ${update.type} named ${name} found`)
  }
  const policy = policyOf(app, update, org.switches.metadataUpdate === 'merges')
  if (policy.action === 'Block' && Number(update.version) < POLICY_ACTION_FROM) {
    return failure(name, 'INVALID_FIELD', 'policyAction is not available in this API version')
  }
  if (policy.action === 'Block' && policy.level === null && org.switches.blockNeedsSessionLevel) {
    return failure(name, 'REQUIRED_FIELD_MISSING', 'sessionLevel is required with policyAction')
  }
  if (call.fault?.kind !== 'ok_without_effect') {
    app.sessionLevel = policy.level
    setAppBlocked(org, app, policy.action === 'Block', session.user)
    applyAdminApproval(app, update)
  }
  return `<result><fullName>${escapeXml(name)}</fullName><success>true</success></result>`
}

function policyOf(
  app: App,
  { inner, type }: Update,
  merges: boolean,
): { readonly action: string | null; readonly level: string | null } {
  const named =
    type === (ECA_POLICY satisfies MetadataType) || /<(?:\w+:)?sessionPolicy\b/.test(inner)
  const action = elementText(inner, 'policyAction') ?? ''
  const level = elementText(inner, 'sessionLevel') ?? ''
  if (merges && (!named || (action === '' && level === ''))) {
    return { action: app.policyAction, level: app.sessionLevel }
  }
  return { action: action === '' ? null : action, level: level === '' ? null : level }
}

function applyAdminApproval(app: App, { inner, type }: Update): void {
  const value =
    type === CONNECTED_APP
      ? elementText(inner, 'isAdminApproved')
      : elementText(inner, 'permittedUsersPolicyType')
  if (value === undefined) return
  app.adminApproved = value === 'true' || value === 'AdminApprovedPreAuthorized'
}

function failure(fullName: string, code: string, message: string): string {
  return `<result><errors><message>${escapeXml(message)}</message><statusCode>${code}</statusCode></errors><fullName>${escapeXml(fullName)}</fullName><success>false</success></result>`
}
