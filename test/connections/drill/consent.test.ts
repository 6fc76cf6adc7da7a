import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { chooseButton, readCallback } from '../../../src/connections/drill/consent/consent.ts'
import { formConsent } from '../../../src/connections/drill/consent/form.ts'
import { RescindError } from '../../../src/core/errors.ts'
import { createHttp } from '../../../src/core/http.ts'
import { Secret } from '../../../src/core/secret.ts'
import { type RawServer, startRawServer } from '../../cli/raw-server.ts'
import { drill, openVaultWorld } from './world.ts'

test.each([
  ['names its issuer', '&iss=https%3A%2F%2Fissuer.example', 'https://issuer.example'],
  ['names none', '', null],
])('an answer at the callback that %s', (_title, more, iss) => {
  const { code, ...rest } = readCallback(new URL(`http://127.0.0.1/cb?code=c&state=s${more}`))
  expect([code?.reveal(), rest]).toEqual(['c', { state: 's', error: null, iss }])
})

describe('the button of a decision', () => {
  const button = (name: string, value: string, label: string) => ({ name, value, label })
  const allow = button('decision', 'allow', 'Log in and allow')
  const deny = button('decision', 'deny', 'No, thanks')
  const login = button('login', 'Log In', 'Log In')

  test.each([
    ['the one to deny', [allow, deny], {}, deny],
    ['the one that is named', [allow, login], { deny: 'login=Log In' }, login],
    ['none of a login', [login], {}, undefined],
  ] as const)('%s', (_, buttons, fields, expected) => {
    expect(chooseButton(buttons, 'deny', fields)).toBe(expected)
  })

  test('where there is only one to allow, nothing is pressed to deny', () => {
    expect(() => chooseButton([allow], 'deny', {})).toThrow(/none to deny: nothing was pressed/)
    expect(chooseButton([allow], 'allow', {})).toBe(allow)
  })
})

describe('the walk of forms to a denial presses what says that it denies, and a login, and nothing else', () => {
  const http = createHttp()
  let server: RawServer | undefined
  afterEach(() => server?.close())
  afterAll(() => http.close())
  const redirectUri = 'http://127.0.0.1:4711/callback'
  const LOGIN =
    '<form method="post"><input name="user"><input name="t" value="1"><button>Log in</button></form>'
  const consentWith = (buttons: string) =>
    `<form method="post"><input type="hidden" name="t" value="2"><input type="hidden" name="user" value="ann">${buttons}</form>`

  /** A login, a page with these buttons, and back with what was posted there. */
  const walk = async (buttons: string, decision: 'allow' | 'deny') => {
    server = await startRawServer(({ method, body }, response) => {
      const posted = new URLSearchParams(body)
      if (method === 'GET') return response.end(LOGIN)
      if (posted.get('t') === '1') return response.end(consentWith(buttons))
      const location = `${redirectUri}?state=s&error=${posted.get('d') ?? 'pressed'}`
      response.writeHead(302, { location }).end()
    })
    const link = { url: `${server.url}/authorize`, state: new Secret('s'), redirectUri }
    const { callback } = await formConsent(http, { fields: { user: 'ann' } }).visit(link, decision)
    return callback?.error
  }

  test.each([
    ['one button without a name', '<button>Continue</button>'],
    ['one without a name or words', '<button></button>'],
    ['one without a name that allows', '<button>Allow</button>'],
    ['one with a name and no telling words', '<button name="d" value="go">Continue</button>'],
    ['two without a name, of which one denies', '<button>Deny</button><button>Allow</button>'],
    ['no button', ''],
  ])('%s: not pressed', async (_title, buttons) => {
    await expect(walk(buttons, 'deny')).rejects.toMatchObject({
      code: 'consent_failed',
      message: expect.stringContaining('nothing was pressed'),
    })
    expect(server?.requests.map(({ method }) => method)).toEqual(['GET', 'POST'])
  })

  test.each([
    ['one without a name that denies', '<button>Deny</button>', 'deny', 'pressed'],
    [
      'two',
      '<button name="d" value="a">Yes</button><button name="d" value="b">No</button>',
      'deny',
      'b',
    ],
    ['one without a name, to allow', '<button>Continue</button>', 'allow', 'pressed'],
    [
      'the first, which has no name, before one with a name, to allow',
      '<button>Continue</button><button name="d" value="stop">Stop</button>',
      'allow',
      'pressed',
    ],
  ] as const)('%s: pressed', async (_title, buttons, decision, came) => {
    expect(await walk(buttons, decision)).toBe(came)
  })
})

test('a person who says no at the link of a drill: the platform knows, and no link of the drill holds it up', async () => {
  const world = await openVaultWorld()
  const { platform, consent: form, connection, vault, folder } = world
  const consent = {
    ...form,
    ...({ how: 'link', canDeny: false } as const),
    visit: (...[link, , signal]: Parameters<typeof form.visit>) => form.visit(link, 'deny', signal),
  }
  const drilled = await drill(world, { depth: 'grant', platform, consent })
  expect(drilled).toMatchObject({ verdict: 'failed', failedAt: 9 })
  expect(drilled.step(9)?.why).toBe('The consent was refused: access_denied.')
  expect(await vault.vault.get(connection)).toMatchObject({
    ...{ state: 'reconnect_needed', cause: { code: 'by_owner' } },
  })
  const db = new DatabaseSync(join(folder, 'home', 'rescind.db'), { readOnly: true })
  expect(
    db.prepare('SELECT count(*) AS unused FROM reconnect WHERE used_at IS NULL').get(),
  ).toEqual({ unused: 0 })
  db.close()
})

test('a denial that could not be walked fails its step with the reason, and the connection comes back', async () => {
  const world = await openVaultWorld()
  const { platform } = world
  const { username, password } = world.user
  const form = formConsent(world.http, { fields: { username, password } })
  const why = 'No button of the consent page says that it denies: nothing was pressed.'
  const consent = {
    ...form,
    visit: async (...[link, decision, signal]: Parameters<typeof form.visit>) => {
      if (decision === 'deny') throw new RescindError('consent_failed', why)
      return form.visit(link, decision, signal)
    },
  }
  const drilled = await drill(world, { depth: 'grant', platform, consent })
  expect(drilled).toMatchObject({ verdict: 'failed', failedAt: 9 })
  expect(drilled.step(9)?.why).toBe(`The denial could not be walked: ${why}`)
  expect(drilled.records.at(-1)).toMatchObject({ kind: 'end', isBack: true })
})
