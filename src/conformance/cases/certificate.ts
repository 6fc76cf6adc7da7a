import { certificateHeader } from '../authenticate.ts'
import { type ConformanceCase, rfc } from '../case.ts'
import { brief } from '../grant.ts'
import { expectRefused, wasLetIn } from '../judge.ts'
import { fail } from '../verdict.ts'

/** Self-signed, and no client's: its key was thrown away. */
export const STRANGER = `-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIUQqGNj8ttldhP7H6MNw0grQgzPhIwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTIxMDUzNDU3WhgPMjEyNjEwMjgwNTM0
NTdaMBAxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
AotSyoa0gBLMAbHPJj+J7eMr69VSnesnNsObujQYn8IqtkIFm5vEReccrdlgXRDu
yOBT8no4Wlh/yGIBJUqDeqNTMFEwHQYDVR0OBBYEFHJ2e/2s6euvpxPPvMWFrZky
JeFBMB8GA1UdIwQYMBaAFHJ2e/2s6euvpxPPvMWFrZkyJeFBMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgG1ST8VlCGkIGSvRXFfXRwY5l/r0GHyB3
nfiParA9y5wCIQD2KQVC2ISx/r/nx5MdFeLxYiT5dRgvCH4C6ICEjfJ+lQ==
-----END CERTIFICATE-----
`

const refused = { statuses: [400, 401], errors: ['invalid_client', 'invalid_request'] }

/**
 * The run speaks no TLS of its own with a certificate: it stands where the proxy does that ends TLS, and
 * hands the certificate on in the header that the server believes of it.
 */
export const certificate: ConformanceCase = {
  id: 63,
  title: 'mTLS: the right certificate is taken, another and none are refused',
  level: 'must',
  cites: [rfc(8705, '2')],
  needs: ['revocation', 'client:cm'],
  async run(world) {
    const client = world.client('cm')
    const pairs = [['client_id', client.id]] as const
    const revoke = (headers: Record<string, string>) =>
      world.revoke({ as: { headers, pairs }, token: world.unique() })
    const right = await revoke(certificateHeader(client))
    if (!wasLetIn(right)) fail(`The right certificate is answered with ${brief(right)}.`)
    const stranger = certificateHeader(client, STRANGER)
    expectRefused(await revoke(stranger), refused, 'The certificate of nobody')
    expectRefused(await revoke({}), refused, 'No certificate')
    return undefined
  },
}
