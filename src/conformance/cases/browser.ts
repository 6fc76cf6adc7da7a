import { isLoopback } from '../../core/url.ts'
import { anyToken } from '../any-token.ts'
import { type CaseGroup, type ConformanceCase, rfc } from '../case.ts'
import { formOf } from '../grant.ts'
import { expectNoCrash } from '../judge.ts'
import { watchOf } from '../life.ts'
import { deviation, fail, pass, skip } from '../verdict.ts'
import type { World } from '../world.ts'

const ORIGIN = 'https://app.example.com'

const cors = rfc(7009, '2.3')
const metadata = rfc(8414, '2')

const allowOrigin = 'access-control-allow-origin'

async function preflight(world: World, origin: string) {
  const url = world.target.revocation ?? skip('There is no revocation endpoint.')
  const headers = {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization',
  }
  return await world.sender.send({ method: 'OPTIONS', url, headers })
}

const preflights: ConformanceCase = {
  id: 132,
  title: 'Pages of other origins (CORS)',
  level: 'may',
  cites: [cors],
  needs: ['revocation', 'client:c1'],
  async run(world) {
    const answer = await preflight(world, ORIGIN)
    expectNoCrash(answer, 'A preflight')
    const posted = await world.revoke({
      as: 'c1',
      token: world.unique(),
      headers: { origin: ORIGIN },
    })
    const [before, after] = [answer.headers[allowOrigin], posted.headers[allowOrigin]]
    const withCookies = answer.headers['access-control-allow-credentials'] === 'true'
    if (withCookies && before === ORIGIN) {
      fail('Any origin is reflected, with credentials allowed.')
    }
    if (before === undefined && after === undefined)
      return deviation('No origin is allowed, of those asked for.')
    if (before !== undefined && after === undefined) {
      return deviation('A preflight of any origin is answered; the POST then follows the client.')
    }
    return deviation(`Any origin is allowed: ${after ?? before}.`)
  },
}

const corsErrors: ConformanceCase = {
  id: 133,
  title: 'Errors carry the CORS headers that a 200 carries',
  level: 'hardening',
  cites: [cors],
  needs: ['revocation', 'client:c1'],
  async run(world) {
    const headers = { origin: ORIGIN }
    const good = await world.revoke({ as: 'c1', token: world.unique(), headers })
    if (good.headers[allowOrigin] === undefined)
      return skip('The server allows that origin nothing.')
    const missing = await world.revoke({ as: 'c1', headers })
    const stranger = { headers: {}, pairs: [['client_id', world.unique()]] as const }
    const refused = await world.revoke({ as: stranger, token: 'x', headers })
    for (const answer of [missing, refused]) {
      if (answer.headers[allowOrigin] === undefined) {
        fail(`A page can read the 200, and not the ${answer.status}.`)
      }
    }
    return undefined
  },
}

const jsonp: ConformanceCase = {
  id: 134,
  title: 'No JSONP',
  level: 'may',
  cites: [cors],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await anyToken(world, 'c1')
    const query = formOf([
      ['token', token.value.reveal()],
      ['callback', 'alert(1);x'],
    ])
    const answer = await world.revoke({
      as: 'c1',
      method: 'GET',
      query,
      body: '',
      contentType: null,
    })
    if (answer.body.includes('alert(1)'))
      fail('The name of the callback is repeated without a check.')
    const life = await watchOf(world).lifeOrDoubt(token)
    if (life === 'dead') return deviation('GET with a callback revokes.')
    return pass(`It is answered with ${answer.status}.`)
  },
}

const published: ConformanceCase = {
  id: 135,
  title: 'Metadata names the endpoints, and how clients authenticate there',
  level: 'should',
  cites: [metadata],
  needs: ['metadata', 'revocation'],
  async run(world) {
    const said = world.target.metadata ?? skip('There is no metadata.')
    if (said.revocation_endpoint === undefined) fail('It names no revocation_endpoint.')
    const lists = [
      ['revocation', world.target.revocation, said.revocation_endpoint_auth_methods_supported],
      [
        'introspection',
        world.target.introspection,
        said.introspection_endpoint_auth_methods_supported,
      ],
    ] as const
    for (const [name, endpoint, methods] of lists) {
      if (endpoint === undefined || methods !== undefined) continue
      world.note(
        `No ${name}_endpoint_auth_methods_supported: client_secret_basic is then understood.`,
      )
    }
    const methods = said.revocation_endpoint_auth_methods_supported ?? ['client_secret_basic']
    const used = Object.values(world.config.clients).flatMap((client) =>
      client ? [client.auth] : [],
    )
    const absent = [...new Set(used)].filter((method) => !methods.includes(method))
    if (absent.length === 0) return pass()
    return deviation(`Clients are configured for ${absent.join(', ')}, which it does not list.`)
  },
}

const tls: ConformanceCase = {
  id: 136,
  title: 'Only https is published',
  level: 'must',
  cites: [rfc(7009, '2')],
  needs: ['metadata', 'revocation'],
  async run(world) {
    const said = world.target.metadata
    const places = [said?.revocation_endpoint, said?.introspection_endpoint, said?.token_endpoint]
    for (const place of places) {
      if (place === undefined) continue
      const url = new URL(place)
      if (isLoopback(url)) return skip('The server is on this machine, where http does no harm.')
      if (url.protocol !== 'https:') fail(`The metadata names ${url.origin}${url.pathname}.`)
    }
    return undefined
  },
}

/** The cases of browsers, metadata and transport. */
export const BROWSER: CaseGroup = {
  title: 'CORS, JSONP, metadata',
  cases: [preflights, corsErrors, jsonp, published, tls],
}
