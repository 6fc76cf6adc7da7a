import { buildIntrospection } from '../protocol/introspect.ts'
import { chooseClient } from '../protocol/open-target.ts'
import {
  type PostmanItem,
  plain,
  postmanBearerItem,
  postmanItem,
  printCollection,
  secretVariables,
  test,
} from '../protocol/postman-collection.ts'
import {
  describeRequest,
  PLACEHOLDERS,
  type PrintableRequest,
} from '../protocol/printable-request.ts'
import { buildRevocation } from '../protocol/revoke.ts'
import { salesforceTarget } from '../providers/salesforce/revoke-token.ts'

/** Stands in for the addresses, which are variables in the collection. */
const ANYWHERE = 'https://server.invalid'

const SERVER = {
  issuer: ANYWHERE,
  revocation_endpoint: `${ANYWHERE}/revoke`,
  introspection_endpoint: `${ANYWHERE}/introspect`,
}

const ANSWERS_200 = test('the answer is 200', 'pm.response.to.have.status(200)')

const DESCRIPTION = `Revoke one token, and look at it before and after: a 200 alone proves nothing.

Made by \`rescind revoke --print postman\`. Set the variables that a folder uses, and run the folder with a token
that may die.`

/**
 * Prints the collection for any server: RFC 7009 with and without a client secret, and Salesforce.
 * Each folder runs by itself, with its addresses and secrets as variables.
 */
export async function printAnyCollection(): Promise<string> {
  const confidential = await rfc7009Requests('client_secret_basic')
  const open = await rfc7009Requests('none')
  return printCollection({
    name: 'Rescind: revoke one token',
    description: DESCRIPTION,
    item: [
      {
        name: 'RFC 7009, client with a secret',
        item: [
          introspectionItem('Before: introspection says active', confidential.introspect, true),
          revocationItem(confidential.revoke),
          introspectionItem('After: introspection says inactive', confidential.introspect, false),
        ],
      },
      { name: 'RFC 7009, public client', item: [revocationItem(open.revoke)] },
      { name: 'Salesforce', item: await salesforceItems() },
    ],
    variable: [
      plain('revocationEndpoint', ''),
      plain('introspectionEndpoint', ''),
      plain('clientId', ''),
      plain('baseUrl', 'https://MyDomain.my.salesforce.com'),
      ...secretVariables([confidential.revoke]),
    ],
  })
}

async function rfc7009Requests(clientAuth: 'client_secret_basic' | 'none') {
  const clientSecret = clientAuth === 'none' ? undefined : PLACEHOLDERS.clientSecret
  const client = chooseClient({ clientId: '{{clientId}}', clientAuth, clientSecret })
  const request = { server: SERVER, client, token: PLACEHOLDERS.token }
  return {
    revoke: describeRequest(await buildRevocation(request)),
    introspect: describeRequest(await buildIntrospection(request)),
  }
}

function revocationItem(request: PrintableRequest): PostmanItem {
  return postmanItem('Revoke', request, '{{revocationEndpoint}}', [ANSWERS_200])
}

function introspectionItem(name: string, request: PrintableRequest, active: boolean): PostmanItem {
  return postmanItem(name, request, '{{introspectionEndpoint}}', [
    ANSWERS_200,
    test(`active is ${active}`, `pm.expect(pm.response.json().active).to.equal(${active})`),
  ])
}

async function salesforceItems(): Promise<readonly PostmanItem[]> {
  const target = salesforceTarget({ url: new URL(ANYWHERE) })
  const request = describeRequest(await target.build({ token: PLACEHOLDERS.token }))
  const revoke = '{{baseUrl}}/services/oauth2/revoke'
  const userinfo = '{{baseUrl}}/services/oauth2/userinfo'
  return [
    postmanBearerItem('Before: userinfo knows the access token', userinfo, [
      ANSWERS_200,
      test('it names the user', "pm.expect(pm.response.json()).to.have.property('user_id')"),
    ]),
    postmanItem('Revoke', request, revoke, [ANSWERS_200]),
    postmanItem('Revoke again: an error here', request, revoke, [
      test('the answer is 400', 'pm.response.to.have.status(400)'),
      test(
        'the error is form-encoded',
        "pm.expect(pm.response.text()).to.include('error=invalid_token')",
      ),
    ]),
    postmanBearerItem('After: userinfo refuses the access token', userinfo, [
      test('the answer is 401 or 403', 'pm.expect(pm.response.code).to.be.oneOf([401, 403])'),
    ]),
  ]
}
