import { isRescindError, RescindError } from '../../core/errors.ts'
import type { HttpResponse } from '../../core/http.ts'
import { vendorText } from '../../core/vendor-text.ts'
import type { Connection } from './connection.ts'
import {
  childrenOf,
  childText,
  element,
  findAll,
  parseSoapBody,
  writeSoap,
  type XmlNode,
} from './metadata-xml.ts'
import { VendorRefusal } from './rest-answer.ts'

/** A kind of metadata that holds an app's policy. */
export type PolicyType = 'ConnectedApp' | 'ExtlClntAppOauthConfigurablePolicies'

/** One component, as a list of them shows it. */
export interface ComponentName {
  readonly fullName: string
  readonly id: string | null
}

/** readMetadata takes ten names at once. */
const READ_NAMES_MAX = 10

/**
 * Lists the components of a type.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.api_meta.meta/api_meta/meta_listmetadata.htm
 */
export async function listComponents(
  connection: Connection,
  type: PolicyType,
  signal?: AbortSignal,
): Promise<readonly ComponentName[]> {
  const content = [
    element('queries', [element('type', type)]),
    element('asOfVersion', connection.apiVersion),
  ]
  const results = await callMetadata(connection, 'listMetadata', content, signal)
  return results.flatMap((result) => {
    const fullName = childText(result, 'fullName')
    return fullName === null ? [] : [{ fullName, id: childText(result, 'id') }]
  })
}

/**
 * Reads components whole; one that does not exist is left out.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.api_meta.meta/api_meta/meta_readMetadata.htm
 */
export async function readComponents(
  connection: Connection,
  type: PolicyType,
  fullNames: readonly string[],
  signal?: AbortSignal,
): Promise<readonly XmlNode[]> {
  const records: XmlNode[] = []
  for (let start = 0; start < fullNames.length; start += READ_NAMES_MAX) {
    const names = fullNames.slice(start, start + READ_NAMES_MAX)
    const content = [
      element('type', type),
      ...names.map((fullName) => element('fullNames', fullName)),
    ]
    const results = await callMetadata(connection, 'readMetadata', content, signal)
    const found = findAll(results, 'records')
    records.push(...found.filter((record) => childText(record, 'fullName') !== null))
  }
  return records
}

/** What the org says to an update; `ok` is not yet a proof that it took. */
export type UpdateVerdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: string; readonly message: string }

/**
 * Updates one component, which goes back whole: whether what is left out stays or goes is not
 * documented for every type.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.api_meta.meta/api_meta/meta_updateMetadata.htm
 */
export async function updateComponent(
  connection: Connection,
  type: PolicyType,
  children: readonly XmlNode[],
  signal?: AbortSignal,
): Promise<UpdateVerdict> {
  const record = element('metadata', children, { 'xsi:type': type })
  const [result] = await callMetadata(connection, 'updateMetadata', [record], signal)
  if (result && childText(result, 'success') === 'true') return { ok: true }
  const [error] = result ? findAll([result], 'errors') : []
  const code = (error && childText(error, 'statusCode')) ?? 'UNKNOWN'
  const message = (error && childText(error, 'message')) ?? 'no reason given'
  return { ok: false, code, message: vendorText(message) }
}

/** Calls the Metadata API and returns the `result` elements of its answer. */
async function callMetadata(
  connection: Connection,
  operation: string,
  content: readonly XmlNode[],
  signal: AbortSignal | undefined,
): Promise<readonly XmlNode[]> {
  const answer = await connection.sendWithSession(
    {
      method: 'POST',
      path: `/services/Soap/m/${connection.apiVersion}`,
      headers: { 'content-type': 'text/xml; charset=UTF-8', soapaction: '""', accept: 'text/xml' },
      signal,
    },
    (sessionId) => writeSoap(sessionId, operation, content),
  )
  // A maintenance page is no SOAP, and says nothing of the address: the status comes first.
  if (answer.status !== 200) throw readFault(answer)
  const body = parseSoapBody(answer.body)
  const [fault] = findAll(body, 'Fault')
  if (fault) throw faultError(fault, answer)
  return body.flatMap((response) => childrenOf(response))
}

/** A fault comes with a 500; whatever else has no 200 is trouble of the day. */
function readFault(answer: HttpResponse): RescindError {
  const message = `The org's Metadata API answered HTTP ${answer.status}. Try again later.`
  const busy = new RescindError('provider_busy', message)
  if (answer.status !== 500) return busy
  try {
    const [fault] = findAll(parseSoapBody(answer.body), 'Fault')
    return fault ? faultError(fault, answer) : busy
  } catch (error) {
    if (!isRescindError(error, 'answer_invalid')) throw error
    return busy
  }
}

function faultError(fault: XmlNode, answer: HttpResponse): VendorRefusal {
  const code = (childText(fault, 'faultcode') ?? 'UNKNOWN').replace(/^.*:/, '')
  const said = vendorText(childText(fault, 'faultstring') ?? 'no reason given')
  const vendor = { code, status: answer.status, detail: said }
  const isDenied = /INSUFFICIENT_ACCESS|API_DISABLED|FUNCTIONALITY_NOT_ENABLED/.test(code)
  return isDenied
    ? new VendorRefusal(
        'not_permitted',
        `Salesforce does not permit the Metadata API: ${said}. Blocking needs Customize Application, and Modify All Data or Manage Connected Apps.`,
        vendor,
      )
    : new VendorRefusal('answer_invalid', `The org's Metadata API refused: ${said}`, vendor)
}
