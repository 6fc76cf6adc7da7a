import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { exportJWK, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import { chooseMethod } from '../../src/protocol/client-auth.ts'
import { buildRevocation } from '../../src/protocol/revoke.ts'

const ISSUER = 'https://login.example.com'
const KEYS = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  'P-384': generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  'P-521': generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  ed25519: generateKeyPairSync('ed25519'),
}

const pem = (key: KeyObject, type: 'pkcs8' | 'pkcs1' | 'sec1' = 'pkcs8') =>
  key.export({ type: type as 'pkcs8', format: 'pem' }).toString()

async function assertionOf(key: string, algorithms?: readonly string[]): Promise<string> {
  const request = await buildRevocation({
    server: {
      issuer: ISSUER,
      revocation_endpoint: `${ISSUER}/revoke`,
      ...(algorithms && { revocation_endpoint_auth_signing_alg_values_supported: [...algorithms] }),
    },
    client: { method: 'private_key_jwt', clientId: 'app', key: new Secret(key) },
    token: new Secret('held'),
  })
  return new URLSearchParams(request.body).get('client_assertion') ?? ''
}

describe('RFC 7523 section 2.2: the assertion', () => {
  const CASES: readonly [string, keyof typeof KEYS, () => string, string[] | undefined, string][] =
    [
      ['RSA as PKCS#8', 'rsa', () => pem(KEYS.rsa.privateKey), undefined, 'RS256'],
      ['RSA as PKCS#1', 'rsa', () => pem(KEYS.rsa.privateKey, 'pkcs1'), undefined, 'RS256'],
      ['RSA where PSS is wanted', 'rsa', () => pem(KEYS.rsa.privateKey), ['PS256'], 'PS256'],
      ['P-256', 'P-256', () => pem(KEYS['P-256'].privateKey), undefined, 'ES256'],
      ['P-256 as SEC 1', 'P-256', () => pem(KEYS['P-256'].privateKey, 'sec1'), undefined, 'ES256'],
      ['P-384', 'P-384', () => pem(KEYS['P-384'].privateKey), undefined, 'ES384'],
      ['P-521', 'P-521', () => pem(KEYS['P-521'].privateKey), undefined, 'ES512'],
      ['Ed25519', 'ed25519', () => pem(KEYS.ed25519.privateKey), undefined, 'Ed25519'],
    ]
  for (const [title, kind, key, algorithms, alg] of CASES) {
    test(`${title}: ${alg}`, async () => {
      const jwt = await assertionOf(key(), algorithms)
      const { payload, protectedHeader } = await jwtVerify(jwt, KEYS[kind].publicKey)
      expect(protectedHeader.alg).toBe(alg)
      expect(payload).toMatchObject({ iss: 'app', sub: 'app', aud: ISSUER })
      expect(payload.jti).toBeTruthy()
      expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBeLessThanOrEqual(60)
    })
  }

  test('a JWK brings its kid and its algorithm', async () => {
    const jwk = { ...(await exportJWK(KEYS.rsa.privateKey)), kid: 'k1', alg: 'PS512' }
    const jwt = await assertionOf(JSON.stringify(jwk))
    const { protectedHeader } = await jwtVerify(jwt, KEYS.rsa.publicKey)
    expect(protectedHeader).toMatchObject({ kid: 'k1', alg: 'PS512' })
  })

  const encrypted = KEYS['P-256'].privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'x',
  })
  const REFUSED: readonly [string, () => Promise<string> | string, string[] | undefined, RegExp][] =
    [
      [
        'an algorithm the server does not take',
        () => pem(KEYS['P-256'].privateKey),
        ['RS256'],
        /RS256/,
      ],
      ['an encrypted key', () => encrypted.toString(), undefined, /decrypt it first/],
      [
        'an alg that does not fit',
        async () => JSON.stringify({ ...(await exportJWK(KEYS.rsa.privateKey)), alg: 'ES256' }),
        undefined,
        /does not fit its kind/,
      ],
      [
        'a key that cannot sign',
        () => pem(generateKeyPairSync('x25519').privateKey),
        undefined,
        /does not sign with/,
      ],
    ]
  for (const [title, key, algorithms, message] of REFUSED) {
    test(`refused: ${title}`, async () => {
      const error = await assertionOf(await key(), algorithms).catch((cause: unknown) => cause)
      expect(error).toMatchObject({ code: 'key_invalid', message: expect.stringMatching(message) })
    })
  }
})

describe('RFC 8414 section 2: which method, when none is named', () => {
  const CASES: readonly [boolean, boolean, string[] | undefined, string][] = [
    [true, false, undefined, 'client_secret_basic'],
    [true, false, ['client_secret_post', 'client_secret_basic'], 'client_secret_basic'],
    [true, false, ['client_secret_post'], 'client_secret_post'],
    [true, false, ['private_key_jwt'], 'client_secret_basic'],
    [false, true, ['client_secret_post'], 'private_key_jwt'],
    [false, false, undefined, 'none'],
  ]
  for (const [secret, key, supported, method] of CASES) {
    test(`secret ${secret}, key ${key}, server takes ${supported ?? 'what it does not say'}`, () => {
      expect(chooseMethod({ secret, key }, supported)).toBe(method)
    })
  }
})
