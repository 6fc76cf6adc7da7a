import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { thumbprintOf } from '../../src/server/wire/client-auth.ts'
import { CERTIFICATE } from '../support/client-certificate.ts'
import { freePort } from '../support/free-port.ts'
import { rescind, spawnRescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

const KEYS = {
  ADMIN_KEY: 'an/admin+key~that.is-long-enough',
  IDP_KEY: 'a/key+of~the.identity-provider',
  WRONG_KEY: 'a/key+that~nobody.has-given-out',
  HOOK: `whsec_${Buffer.alloc(32, 5).toString('base64')}`,
}
const THUMBPRINT = thumbprintOf(encodeURIComponent(CERTIFICATE)) ?? ''
const CERTIFICATE_LINES = CERTIFICATE.split('\n').filter((line) => line.length > 60)

/** What a text looks like in base64, wherever in the encoded bytes it stands. */
function encodings(text: string): readonly string[] {
  return [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.from('_'.repeat(offset) + text).toString('base64')
    // The letters at both ends are made of what stands before and after, too.
    const own = encoded.slice(offset === 0 ? 0 : offset + 1).replace(/.{0,2}=*$/, '')
    return [own, own.replaceAll('+', '-').replaceAll('/', '_')]
  })
}

/** A secret as it is, and percent-encoded, in base64 and in hex. */
function formsOf(secret: string): readonly string[] {
  const forms = [secret, ...encodings(secret), Buffer.from(secret).toString('hex')]
  return [...new Set(forms.flatMap((form) => [form, encodeURIComponent(form)]))]
}

const told = (text: string, secrets: readonly string[]) =>
  secrets.filter((secret) => formsOf(secret).some((form) => text.includes(form)))

test.each([
  ['as it is', (secret: string) => secret],
  ['by Basic', (secret: string) => Buffer.from(`app:${secret}`).toString('base64')],
  ['by another id', (secret: string) => Buffer.from(`apps:${secret}`).toString('base64url')],
  ['in a form', (secret: string) => `token=${encodeURIComponent(secret)}`],
])('a secret that is told %s is found', (_, tell) => {
  for (const secret of Object.values(KEYS)) expect(told(tell(secret), [secret])).toEqual([secret])
})

test('rescind serve logs no credential, key, token or certificate of any request', async () => {
  using home = tempHome()
  const url = `http://127.0.0.1:${await freePort()}`
  const metrics = `127.0.0.1:${await freePort()}`
  const section = [
    ...[`issuer: ${url}`, `listen: ${new URL(url).host}`, `metrics: ${metrics}`],
    ...['trustedProxies: [127.0.0.1]', 'certificateHeader: X-Client-Cert'],
    'adminKeys: ["${env:ADMIN_KEY}"]',
    'globalRevocation: [{ name: idp, key: "${env:IDP_KEY}" }]',
    'webhooks: [{ url: "http://127.0.0.1:9/in", secret: "${env:HOOK}" }]',
  ]
  writeFileSync(join(home.path, 'rescind.yaml'), `authority:\n  ${section.join('\n  ')}\n`)
  const options = { home: home.path, env: KEYS }
  const add = async (...args: string[]): Promise<string> =>
    (await rescind(['client', 'add', ...args, '--json'], options)).json.secret
  const secret = await add('app', '--grant', 'client_credentials', '--grant', 'refresh_token')
  const mtls = ['--auth', 'self_signed_tls_client_auth', '--certificate', THUMBPRINT]
  await add('mtls', ...mtls, '--grant', 'client_credentials')
  const child = spawnRescind(['serve', '--log-level', 'debug'], options)
  try {
    await once(child.process.stdout as NodeJS.ReadableStream, 'data')
    const statuses: number[] = []
    const call = async (path: string, init: RequestInit = {}) => {
      const answer = await fetch(url + path, init)
      statuses.push(answer.status)
      return answer
    }
    const basic = (id: string, password: string) => ({
      authorization: `Basic ${Buffer.from(`${id}:${password}`).toString('base64')}`,
    })
    const form = (path: string, fields: Record<string, string>, headers = {}) =>
      call(path, { method: 'POST', headers, body: new URLSearchParams(fields) })
    const json = (path: string, key: string, body: object) =>
      call(path, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    const own = { grant_type: 'client_credentials' }
    const given = await form('/token', own, basic('app', secret))
    const { access_token: token } = (await given.json()) as { access_token: string }
    for (const headers of [basic('app', secret), basic('app', KEYS.WRONG_KEY)]) {
      await form('/introspect', { token }, headers)
      await form('/revoke', { token }, headers)
    }
    await form('/introspect', { client_id: 'app', client_secret: secret, token })
    await call(`/introspect?token=${token}&client_secret=${encodeURIComponent(secret)}`)
    await call(`/${token}`, { headers: basic('app', secret) })
    const certificate = { 'x-client-cert': encodeURIComponent(CERTIFICATE) }
    await form('/token', { ...own, client_id: 'mtls' }, certificate)
    await form('/token', { ...own, client_id: 'app' }, certificate)
    const subject = { sub_id: { format: 'opaque', id: 'ann' } }
    for (const key of [KEYS.ADMIN_KEY, KEYS.WRONG_KEY]) {
      await json('/admin/revoke', key, { user: 'ann' })
      await call('/admin/events', { headers: { authorization: `Bearer ${key}` } })
    }
    for (const key of [KEYS.IDP_KEY, KEYS.WRONG_KEY]) {
      await json('/global-token-revocation', key, subject)
    }
    const read = await (await fetch(`http://${metrics}/metrics`)).text()
    child.process.kill('SIGTERM')
    const { stdout, stderr } = await child.done
    expect(statuses).toEqual([
      ...[200, 200, 200, 401, 401, 200, 405, 404],
      ...[200, 401, 200, 200, 401, 401, 204, 401],
    ])
    const logged = stderr.split('\n').filter((line) => line.includes('"msg":"request"'))
    expect(logged).toHaveLength(statuses.length)
    const secrets = [...Object.values(KEYS), secret, token, ...CERTIFICATE_LINES]
    expect(told(stdout + stderr + read, secrets)).toEqual([])
  } finally {
    child.process.kill('SIGKILL')
    await child.done
  }
})
