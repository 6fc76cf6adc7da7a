import { describe, expect, test } from 'vitest'
import { runConformance } from '../../src/conformance/conformance.ts'
import { runTokenCommand } from '../../src/conformance/token-command.ts'
import { Secret } from '../../src/core/secret.ts'
import { openSecretBook } from '../../src/protocol/exchange.ts'
import { openCookieJar, readForms } from '../../src/protocol/login-page.ts'
import { startToy } from './peers/toy.ts'

const AT = new URL('https://as.example.com/login?x=1')

describe('by code: the forms of a page', () => {
  const FORMS: readonly (readonly [string, string, string, Record<string, string>])[] = [
    ['no action is the page itself', '<form method=post></form>', AT.href, {}],
    [
      'a relative action',
      '<form action="do?a=1&amp;b=2"></form>',
      'https://as.example.com/do?a=1&b=2',
      {},
    ],
    [
      'hidden inputs, unquoted and escaped',
      `<form><input type=hidden name=t value='a&quot;b&#39;'><input name="user"></form>`,
      AT.href,
      { t: `a"b'`, user: '' },
    ],
    [
      'of two buttons the first',
      '<form><button name="ok" value="yes">Yes</button><button name="ok2" value="no">No</button></form>',
      AT.href,
      { ok: 'yes' },
    ],
    [
      'of two buttons the first, which has no name and sends nothing',
      '<form><input name="user"><button>Log in</button><button name="d" value="deny">Deny</button></form>',
      AT.href,
      { user: '' },
    ],
    [
      'inputs that submit are buttons as well',
      '<form><INPUT type="submit" name="go" value="1"><BUTTON name="no" value="2">No</BUTTON></form>',
      AT.href,
      { go: '1' },
    ],
    [
      'a box that is not checked is not sent',
      '<form><input type="checkbox" name="a" value="1"><input type="checkbox" name="b" value="1" checked></form>',
      AT.href,
      { b: '1' },
    ],
  ]
  test.each(FORMS)('%s', (_title, page, action, fields) => {
    const [form] = readForms(page, AT)
    expect(form?.action.href).toBe(action)
    expect(Object.fromEntries(form?.fields ?? [])).toEqual(fields)
  })

  test('cookies: dates hold commas, and an empty one is gone', () => {
    const jar = openCookieJar()
    jar.keep('a=1; Expires=Thu, 01 Jan 2099 00:00:00 GMT; Path=/, b=2; HttpOnly')
    expect(jar.header).toEqual({ cookie: 'a=1; b=2' })
    jar.keep('a=; Max-Age=0')
    expect(jar.header).toEqual({ cookie: 'b=2' })
  })

  test('a page without a form is told', async () => {
    const peer = await startToy()
    const { config } = peer
    const wrong = { ...config.endpoints, authorization: `${config.endpoints.token}/nowhere` }
    const report = await runConformance({ config: { ...config, endpoints: wrong }, only: [1] })
    await peer.close()
    expect(report.results[0]?.verdict).toBe('inconclusive')
    expect(report.results[0]?.what).toMatch(/^The login shows a page without a form/)
  })
})

describe('by command: a program that makes tokens', () => {
  const run = (script: string, env: Record<string, string> = {}) =>
    runTokenCommand({ run: [process.execPath, '-e', script], env })

  test('its JSON is taken, and it is told for whom', async () => {
    const script = 'console.log(JSON.stringify({access_token: process.env.RESCIND_ROLE}))'
    expect(await run(script, { RESCIND_ROLE: 'c1' })).toEqual({ access_token: 'c1' })
  })

  const WRONG: readonly (readonly [string, string, RegExp])[] = [
    ['no JSON', 'console.log("secret-text")', /did not print one JSON object/],
    ['a failure', 'process.exit(3)', /ended with 3/],
  ]
  test.each(WRONG)('%s is one sentence without its output', async (_title, script, message) => {
    const error = await run(script).catch((reason: Error) => reason)
    expect(String(error)).toMatch(message)
    expect(String(error)).not.toContain('secret-text')
  })

  test('a program that is not there', async () => {
    await expect(runTokenCommand({ run: ['/no/such/program'], env: {} })).rejects.toThrow(
      /cannot be run/,
    )
  })
})

describe('evidence: secrets are fingerprints', () => {
  const SECRET = `a "secret" +%& of a client`
  const FORMS = [
    SECRET,
    encodeURIComponent(SECRET),
    new URLSearchParams({ v: SECRET }).toString().slice(2),
    JSON.stringify(SECRET).slice(1, -1),
    btoa(SECRET),
  ]
  test.each(FORMS)('%s', (form) => {
    const book = openSecretBook()
    book.add(new Secret(SECRET), 'client-secret')
    expect(book.hide(`x=${form}&y`)).toMatch(/^x=<client-secret [0-9a-f]{8}>&y$/)
  })

  const SHAPES: readonly (readonly [string, string])[] = [
    ['a=eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.abc', 'a=<jwt>'],
    ['client_secret=short&a=1', 'client_secret=<hidden>&a=1'],
    ['{"access_token":"unknown-to-us"}', '{"access_token":"<hidden>"}'],
    ['set-cookie: sid=abc; Path=/', 'set-cookie: <hidden>'],
    ['authorization: Basic YTpiY2RlZg==', 'authorization: Basic <hidden>'],
  ]
  test.each(SHAPES)('%s', (text, printed) => {
    expect(openSecretBook().hide(text)).toBe(printed)
  })
})
