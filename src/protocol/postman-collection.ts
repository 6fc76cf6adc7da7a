import { type PrintableRequest, VARIABLES, type Variable } from './printable-request.ts'

const SCHEMA = 'https://schema.getpostman.com/json/collection/v2.1.0/collection.json'

/** How the variables are named in a collection, where names are camel case by custom. */
const NAMES: Readonly<Record<Variable, string>> = {
  [VARIABLES.token]: 'token',
  [VARIABLES.clientSecret]: 'clientSecret',
  [VARIABLES.clientAssertion]: 'clientAssertion',
}

/** A collection of Postman's format 2.1, as far as it is used here. */
export interface PostmanCollection {
  readonly info: { readonly name: string; readonly description: string; readonly schema: string }
  readonly item: readonly PostmanItem[]
  readonly variable: readonly PostmanVariable[]
}

export interface PostmanVariable {
  readonly key: string
  readonly value: string
  readonly type: 'string' | 'secret'
}

export type PostmanItem =
  | { readonly name: string; readonly item: readonly PostmanItem[] }
  | {
      readonly name: string
      readonly request: unknown
      readonly event: readonly unknown[]
    }

/** Prints one request as a collection that holds it, its secrets as variables to be filled in. */
export function printPostman(request: PrintableRequest): string {
  const item = postmanItem('Revoke the token', request, '{{revocationEndpoint}}', [
    test('the server said yes (which alone is no proof)', 'pm.response.to.have.status(200)'),
  ])
  return printCollection({
    name: 'Revoke one token',
    description: 'Made by rescind revoke --print postman. Fill in the variables that are empty.',
    item: [item],
    variable: [plain('revocationEndpoint', request.url), ...secretVariables([request])],
  })
}

/** Prints a collection as JSON, two spaces deep, with a line feed at the end. */
export function printCollection(parts: {
  readonly name: string
  readonly description: string
  readonly item: readonly PostmanItem[]
  readonly variable: readonly PostmanVariable[]
}): string {
  const { name, description, item, variable } = parts
  const collection: PostmanCollection = {
    info: { name, description, schema: SCHEMA },
    item,
    variable,
  }
  return `${JSON.stringify(collection, null, 2)}\n`
}

/** Returns a request as a collection's item that is sent to `url`, a variable as a rule. */
export function postmanItem(
  name: string,
  request: PrintableRequest,
  url: string,
  tests: readonly string[],
): PostmanItem {
  const urlencoded = request.fields.map((field) => ({
    key: field.name,
    value: 'variable' in field ? `{{${NAMES[field.variable]}}}` : field.value,
  }))
  return {
    name,
    request: {
      method: 'POST',
      auth: basicAuth(request),
      header: [{ key: 'content-type', value: request.contentType }],
      url,
      body: { mode: 'urlencoded', urlencoded },
    },
    event: [testEvent(tests)],
  }
}

/** Returns a request that presents the token as a bearer, and changes nothing. */
export function postmanBearerItem(
  name: string,
  url: string,
  tests: readonly string[],
): PostmanItem {
  const bearer = [{ key: 'token', value: '{{token}}', type: 'string' }]
  return {
    name,
    request: { method: 'GET', auth: { type: 'bearer', bearer }, header: [], url },
    event: [testEvent(tests)],
  }
}

/** Returns one test's lines, to stand in an item's script. */
export function test(name: string, ...body: readonly string[]): string {
  return [
    `pm.test(${JSON.stringify(name)}, () => {`,
    ...body.map((line) => `  ${line}`),
    '})',
  ].join('\n')
}

/** Returns a variable that is no secret. */
export function plain(key: string, value: string): PostmanVariable {
  return { key, value, type: 'string' }
}

/** Returns the empty variables for the secrets that requests name. */
export function secretVariables(requests: readonly PrintableRequest[]): readonly PostmanVariable[] {
  const names = new Set(requests.flatMap(({ variables }) => variables))
  return [...names].map((name) => ({ key: NAMES[name], value: '', type: 'secret' }))
}

function basicAuth({ basicClientId }: PrintableRequest): unknown {
  if (basicClientId === undefined) return { type: 'noauth' }
  // A collection's own placeholder must not be encoded away.
  const username = basicClientId.startsWith('%7B%7B')
    ? decodeURIComponent(basicClientId)
    : basicClientId
  return {
    type: 'basic',
    basic: [
      { key: 'username', value: username, type: 'string' },
      { key: 'password', value: '{{clientSecret}}', type: 'string' },
    ],
  }
}

function testEvent(tests: readonly string[]): unknown {
  const exec = tests.flatMap((text) => text.split('\n'))
  return { listen: 'test', script: { type: 'text/javascript', exec } }
}
