import { XMLBuilder, XMLParser } from 'fast-xml-parser'
import { RescindError } from '../../core/errors.ts'

/** An element as the parser gives it: one key with the name, its children, and its attributes. */
export type XmlNode = Readonly<Record<string, unknown>>

const ATTRIBUTES = ':@'
const TEXT = '#text'
const NAMESPACE = 'http://soap.sforce.com/2006/04/metadata'
const ENVELOPE = 'http://schemas.xmlsoap.org/soap/envelope/'
const INSTANCE = 'http://www.w3.org/2001/XMLSchema-instance'

// Values stay texts, and the order of elements is kept: a record goes back as it came.
const settings = { preserveOrder: true, ignoreAttributes: false, attributeNamePrefix: '' } as const
const parser = new XMLParser({ ...settings, parseTagValue: false, parseAttributeValue: false })
const builder = new XMLBuilder({ ...settings, suppressBooleanAttributes: false })

/**
 * Parses a SOAP answer to the nodes of its body.
 *
 * @throws RescindError `answer_invalid`
 */
export function parseSoapBody(xml: string): readonly XmlNode[] {
  try {
    const [body] = findAll(parser.parse(xml) as XmlNode[], 'Body')
    if (body) return childrenOf(body)
  } catch {
    // What does not parse is no SOAP answer; the text may hold anything, so it is not quoted.
  }
  throw new RescindError(
    'answer_invalid',
    "The org's Metadata API answered with something that is not SOAP. Check the tenant's url.",
  )
}

/** Writes a SOAP request of the Metadata API. The session stands in its header. */
export function writeSoap(sessionId: string, operation: string, content: readonly XmlNode[]) {
  const session = element('SessionHeader', [element('sessionId', sessionId)])
  const envelope = {
    ...element('soapenv:Envelope', [
      element('soapenv:Header', [session]),
      element('soapenv:Body', [element(operation, content)]),
    ]),
    [ATTRIBUTES]: { 'xmlns:soapenv': ENVELOPE, 'xmlns:xsi': INSTANCE, xmlns: NAMESPACE },
  }
  return `<?xml version="1.0" encoding="UTF-8"?>${builder.build([envelope])}`
}

/** Makes an element of children or of a text; texts are escaped when it is written. */
export function element(
  name: string,
  content: string | readonly XmlNode[],
  attributes?: Readonly<Record<string, string>>,
): XmlNode {
  const children = typeof content === 'string' ? [{ [TEXT]: content }] : content
  return attributes === undefined
    ? { [name]: children }
    : { [name]: children, [ATTRIBUTES]: attributes }
}

/** Returns the name of an element, without its prefix. */
export function nameOf(node: XmlNode): string {
  const name = Object.keys(node).find((key) => key !== ATTRIBUTES) ?? ''
  return name.slice(name.indexOf(':') + 1)
}

export function childrenOf(node: XmlNode): readonly XmlNode[] {
  const name = Object.keys(node).find((key) => key !== ATTRIBUTES)
  const children = name === undefined ? undefined : node[name]
  return Array.isArray(children) ? (children as XmlNode[]) : []
}

/** Returns the first child element of a name. */
export function childOf(node: XmlNode, name: string): XmlNode | undefined {
  return childrenOf(node).find((child) => nameOf(child) === name)
}

/** Returns the text of a child element; null when it is missing, empty or nil. */
export function childText(node: XmlNode, name: string): string | null {
  const child = childOf(node, name)
  const text = child && childrenOf(child).find((inner) => TEXT in inner)?.[TEXT]
  return text === undefined || text === '' ? null : String(text)
}

/** Finds all elements of a name, at any depth. */
export function findAll(nodes: readonly XmlNode[], name: string): readonly XmlNode[] {
  return nodes.flatMap((node) => [
    ...(nameOf(node) === name ? [node] : []),
    ...findAll(childrenOf(node), name),
  ])
}

/**
 * Returns children with one of them set, or taken out when `child` is null. A new one is put where
 * the Metadata API wants it: after fullName, in the order of the names.
 */
export function withChild(
  children: readonly XmlNode[],
  name: string,
  child: XmlNode | null,
): readonly XmlNode[] {
  const others = children.filter((other) => nameOf(other) !== name)
  if (child === null) return others
  const index = others.findIndex((other) => {
    const its = nameOf(other)
    return its !== 'fullName' && its > name
  })
  return others.toSpliced(index < 0 ? others.length : index, 0, child)
}
