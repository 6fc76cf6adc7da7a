import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CERTIFICATE, CERTIFICATE_THUMBPRINT } from '../support/client-certificate.ts'
import { freePort } from '../support/free-port.ts'
import { type Child, rescind, spawnRescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

const REDIRECT = 'https://client.example.com/cb'
const PROXY = { certificateHeader: 'x-client-cert', trustedProxies: ['127.0.0.1'] }
const BY_CERTIFICATE = [
  ...['--auth', 'self_signed_tls_client_auth', '--certificate', CERTIFICATE_THUMBPRINT],
  '--certificate-bound',
]

describe('rescind conformance against rescind serve --dev-login', () => {
  const home = tempHome()
  let child: Child | undefined
  let issuer: string

  beforeAll(async () => {
    const port = await freePort()
    issuer = `http://127.0.0.1:${port}`
    const authority = { issuer, listen: `127.0.0.1:${port}`, metrics: false, ...PROXY }
    writeFileSync(join(home.path, 'rescind.yaml'), JSON.stringify({ authority }))
    const add = async (id: string, ...args: string[]) => {
      const line = ['client', 'add', id, '--scope', 'read', '--json', ...args]
      return (await rescind(line, { home: home.path })).json.secret
    }
    const secret = await add('app', '--redirect-uri', REDIRECT)
    await add('machine', '--redirect-uri', REDIRECT, ...BY_CERTIFICATE)
    const certificate = { header: PROXY.certificateHeader, pem: CERTIFICATE }
    const config = {
      issuer,
      clients: {
        c1: { id: 'app', auth: 'client_secret_basic', secret },
        cm: { id: 'machine', auth: 'self_signed_tls_client_auth', certificate },
      },
      tokens: { user: { by: 'code', redirectUri: REDIRECT, fields: { dev_user: 'ann' } } },
    }
    writeFileSync(join(home.path, 'clients.yaml'), JSON.stringify(config))
    child = spawnRescind(['serve', '--dev-login'], { home: home.path })
    await once(child.process.stdout as NodeJS.ReadableStream, 'data')
  })
  afterAll(async () => {
    child?.process.kill('SIGKILL')
    await child?.done
    home[Symbol.dispose]()
  })

  const run = (...args: string[]) =>
    rescind(['conformance', '--config', 'clients.yaml', ...args], { home: home.path })

  test('the name in dev_user logs in, and the musts are decided', async () => {
    const { json, exitCode } = await run('--only', '1,24,25,216', '--strict', '--json')
    expect(json.totals).toMatchObject({ pass: 4, inconclusive: 0 })
    expect(exitCode).toBe(0)
  })

  test('a field that is misnamed is told with the inputs that the page has', async () => {
    const text = readFileSync(join(home.path, 'clients.yaml'), 'utf8')
    writeFileSync(join(home.path, 'wrong.yaml'), text.replace('dev_user', 'login'))
    const args = ['conformance', '--config', 'wrong.yaml', '--only', '1']
    const { stdout, exitCode } = await rescind(args, { home: home.path })
    expect(stdout.replace(/\s+/g, ' ')).toMatch(
      /in 16 steps\. Its last page has the inputs .*dev_user\./,
    )
    expect(exitCode).toBe(5)
  })

  test('a client with a certificate is called as the authority calls it, and its tokens are bound', async () => {
    const { json } = await run('--only', '63,96,125,135', '--strict', '--json')
    expect(json.results).toMatchObject([
      { id: 63, verdict: 'pass' },
      { id: 96, verdict: 'deviation', what: 'It is refused, and the token lives.' },
      { id: 125, verdict: 'pass' },
      { id: 135, verdict: 'pass' },
    ])
  })
})
