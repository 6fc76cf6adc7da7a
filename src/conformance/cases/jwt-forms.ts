import { createSecretKey } from 'node:crypto'
import { SignJWT } from 'jose'
import type { World } from '../world.ts'

/** Says whether a token has the shape of a signed JWT. @see RFC 7519 section 3 */
export function isJwt(token: string): boolean {
  const [head, ...rest] = token.split('.')
  return rest.length === 2 && head !== undefined && decode(head)?.alg !== undefined
}

/** Returns the claims of a JWT, whoever signed it; of anything else nothing. */
export function claimsOf(token: string): Readonly<Record<string, unknown>> {
  return (isJwt(token) && decode(token.split('.')[1] as string)) || {}
}

function decode(part: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>
  } catch {
    return undefined
  }
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

/**
 * Returns forged copies of a token: its signature broken, and its algorithm "none". Of an opaque token
 * there is nothing to copy: they then claim the server's issuer.
 *
 * @see RFC 8725 section 3.1
 */
export function forgedJwts(token: string, world: World): readonly (readonly [string, string])[] {
  const claims = {
    iss: world.target.issuer ?? 'https://as.example.com',
    jti: world.unique(),
    sub: 'x',
  }
  const [head, body, signature] = isJwt(token)
    ? (token.split('.') as [string, string, string])
    : [encode({ alg: 'RS256', typ: 'at+jwt', kid: 'x' }), encode(claims), world.unique()]
  const broken = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
  const unsigned = encode({ ...decode(head), alg: 'none' })
  return [
    ['a broken signature', `${head}.${body}.${broken}`],
    ['alg none', `${unsigned}.${body}.`],
  ]
}

/**
 * Returns a JWT that is well signed, by nobody that the server knows.
 *
 * @param like a token whose claims it copies, but for the issuer, where it is a JWT
 */
export async function foreignJwt(world: World, like = ''): Promise<string> {
  const claims = isJwt(like)
    ? decode(like.split('.')[1] as string)
    : { client_id: 'other', scope: 'read', sub: 'ann', jti: world.unique() }
  return await new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' })
    .setIssuer('https://another-issuer.example.com')
    .setExpirationTime(Math.floor(world.clock.now() / 1000) + 600)
    .sign(createSecretKey(Buffer.from(world.unique())))
}
