import { type Answer, xmlAnswer } from '../answer.ts'

const ENVELOPE = 'http://schemas.xmlsoap.org/soap/envelope/'
const FAULTS = 'urn:fault.partner.soap.sforce.com'

/** Gives the text of the first element of that local name, unescaped. */
export function elementText(xml: string, name: string): string | undefined {
  const hit = new RegExp(`<(?:\\w+:)?${name}(?:\\s[^>]*)?>([^<]*)<`).exec(xml)
  return hit === null ? undefined : unescapeXml(hit[1]!.trim())
}

/** Gives the inner text of every element of that local name, unescaped. */
export function elementTexts(xml: string, name: string): string[] {
  const hits = xml.matchAll(new RegExp(`<(?:\\w+:)?${name}(?:\\s[^>]*)?>([^<]*)<`, 'g'))
  return [...hits].map((hit) => unescapeXml(hit[1]!.trim()))
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&apos;': "'",
  '&amp;': '&',
}

function unescapeXml(text: string): string {
  return text.replaceAll(/&(?:lt|gt|quot|apos|amp);/g, (entity) => ENTITIES[entity]!)
}

/** Escapes a text for XML and HTML. */
export function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/** Wraps the body of a SOAP answer; `namespace` is that of the API which answers. */
export function soapEnvelope(inner: string, namespace = 'urn:partner.soap.sforce.com'): string {
  return `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="${ENVELOPE}" xmlns="${namespace}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>${inner}</soapenv:Body></soapenv:Envelope>`
}

/** A SOAP fault: HTTP 500 with the vendor's exception code. */
export function soapFault(code: string, message: string): Answer {
  const text = escapeXml(message)
  const detail = `<detail><sf:UnexpectedErrorFault xmlns:sf="${FAULTS}"><sf:exceptionCode>${code}</sf:exceptionCode><sf:exceptionMessage>${text}</sf:exceptionMessage></sf:UnexpectedErrorFault></detail>`
  const fault = `<soapenv:Fault><faultcode>sf:${code}</faultcode><faultstring>${code}: ${text}</faultstring>${detail}</soapenv:Fault>`
  const body = `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="${ENVELOPE}" xmlns:sf="${FAULTS}"><soapenv:Body>${fault}</soapenv:Body></soapenv:Envelope>`
  return xmlAnswer(500, body)
}
