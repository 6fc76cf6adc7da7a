import { certificateHeader, certificateThumbprint } from '../authenticate.ts'
import { type ConformanceCase, rfc } from '../case.ts'
import { brief, parseObject } from '../grant.ts'
import { expectRefused, firstOf, lifeByUse } from '../judge.ts'
import { judgeIntrospection } from '../life.ts'
import { deviation, fail, skip, unclear, type Verdict } from '../verdict.ts'
import { STRANGER } from './certificate.ts'
import { claimsOf } from './jwt-forms.ts'
import { accessToken } from './tokens.ts'

const REGISTER = 'register it with tls_client_certificate_bound_access_tokens'

/** The thumbprint of the certificate that a token is bound to. @see RFC 8705 section 3.1 */
function boundTo({ cnf }: Readonly<Record<string, unknown>>): unknown {
  return cnf !== null && typeof cnf === 'object' ? Reflect.get(cnf, 'x5t#S256') : undefined
}

/** Introspection tells the certificate that an access token is bound to. */
export const bindingTold: ConformanceCase = {
  id: 125,
  title: 'Introspection names the certificate that a token is bound to',
  level: 'must',
  cites: [rfc(8705, '3.2')],
  needs: ['introspection', 'client:cm', 'token:cm'],
  async run(world) {
    const token = await accessToken(world, 'cm')
    const as = firstOf(world, ['rs1']) ?? 'cm'
    const answer = await world.introspect({ as, token })
    if (judgeIntrospection(answer) !== 'alive') {
      fail(`A live access token is not active for ${as}: ${brief(answer)}.`)
    }
    const told = boundTo(parseObject(answer.body))
    if (told === certificateThumbprint(world.client('cm'))) return undefined
    if (told !== undefined) fail('The cnf of the answer names another certificate than that of cm.')
    if (boundTo(claimsOf(token.value.reveal())) !== undefined) {
      fail('The token itself names its certificate, and introspection has no cnf.')
    }
    if (world.target.metadata?.tls_client_certificate_bound_access_tokens === true) {
      return unclear(`Whether the tokens of cm are bound is not to be seen: ${REGISTER}.`)
    }
    return skip(`The tokens of cm are not bound to its certificate: ${REGISTER}.`)
  },
}

/** A refresh token of a client with a certificate is good with that alone. */
export const wrongCertificate: ConformanceCase = {
  id: 96,
  title: 'A refresh token with the certificate of nobody, or with none, is refused',
  level: 'must',
  cites: [rfc(8705, '7.1'), rfc(6749, '6')],
  needs: ['client:cm', 'refresh:cm'],
  async run(world): Promise<Verdict> {
    const client = world.client('cm')
    const { refresh } = await world.refreshable('cm')
    const pairs = [['client_id', client.id]] as const
    const refreshWith = (headers: Record<string, string>) =>
      world.refresh(refresh, { as: { headers, pairs } })
    const refused = { statuses: [400, 401] }
    const stranger = await refreshWith(certificateHeader(client, STRANGER))
    expectRefused(stranger, refused, 'The certificate of nobody')
    expectRefused(await refreshWith({}), refused, 'No certificate')
    const life = await lifeByUse(world, refresh)
    return deviation(`It is refused, and the token ${life === 'dead' ? 'is dead' : 'lives'}.`)
  },
}
