import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { start } from '../../examples/express-logout/server.ts'
import { freePort } from '../support/free-port.ts'
import { tempHome } from '../support/temp-home.ts'

const RACES = 20
/** Requests for tokens before a log out, and as many behind it. */
const ASKERS = 3

let home: ReturnType<typeof tempHome>
let url: string
let app: Awaited<ReturnType<typeof start>>
beforeEach(async () => {
  home = tempHome()
  url = `http://127.0.0.1:${await freePort()}`
  app = await start(url, home.path)
})
afterEach(async () => {
  await app.close()
  home[Symbol.dispose]()
})

/** One browser: its cookie, and the tokens that it got. */
async function logIn(user: string) {
  const answer = await fetch(`${url}/login`, {
    method: 'POST',
    body: new URLSearchParams({ user }),
  })
  const cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? ''
  const send = (path: string) => fetch(url + path, { method: 'POST', headers: { cookie } })
  const tokens = (await (await send('/tokens')).json()) as {
    access_token: string
    refresh_token: string
  }
  const hello = async () =>
    (await fetch(`${url}/hello`, { headers: { authorization: `Bearer ${tokens.access_token}` } }))
      .status
  const refresh = async () => {
    const { refresh_token } = tokens
    const body = new URLSearchParams({
      ...{ grant_type: 'refresh_token', client_id: 'the-app', refresh_token },
    })
    return (await fetch(`${url}/token`, { method: 'POST', body })).status
  }
  return { send, hello, refresh }
}

test('log out kills the tokens of this session, and of no other', async () => {
  const [here, elsewhere] = [await logIn('ann'), await logIn('ann')]
  expect([await here.hello(), await elsewhere.hello()]).toEqual([200, 200])
  expect((await here.send('/logout')).status).toBe(200)
  expect([await here.hello(), await elsewhere.hello()]).toEqual([401, 200])
  expect([await here.refresh(), await elsewhere.refresh()]).toEqual([400, 200])
  expect((await here.send('/tokens')).status).toBe(401)
})

test('log out everywhere kills all of the user, and of no other', async () => {
  const [here, elsewhere, bob] = [await logIn('ann'), await logIn('ann'), await logIn('bob')]
  expect((await here.send('/logout-everywhere')).status).toBe(200)
  expect([await here.hello(), await elsewhere.hello(), await bob.hello()]).toEqual([401, 401, 200])
  expect([await elsewhere.refresh(), await bob.refresh()]).toEqual([400, 200])
})

test.each(['/logout', '/logout-everywhere'])(
  `tokens that are asked for while %s is under way are dead after it, ${RACES} times`,
  async (path) => {
    for (let race = 0; race < RACES; race += 1) {
      const { send } = await logIn(`user-${race}`)
      const asked = Array.from({ length: ASKERS }, () => send('/tokens'))
      const out = send(path)
      const late = Array.from({ length: ASKERS }, () => send('/tokens'))
      expect((await out).status).toBe(200)
      for (const answer of await Promise.all([...asked, ...late])) {
        if (answer.status !== 200) {
          expect(answer.status).toBe(401)
          continue
        }
        const { access_token } = (await answer.json()) as { access_token: string }
        expect((await app.authority.introspect(access_token)).active).toBe(false)
      }
      expect(await app.authority.count({ user: `user-${race}` })).toEqual({ grants: 0, tokens: 0 })
    }
  },
)

test('a log out that fails leaves nothing open, and is done again', async () => {
  const here = await logIn('ann')
  using other = new DatabaseSync(join(home.path, 'authority.db'))
  other.exec('BEGIN IMMEDIATE')
  expect((await here.send('/logout')).status).toBe(500)
  other.exec('ROLLBACK')
  expect((await here.send('/tokens')).status).toBe(401)
  expect(await here.hello()).toBe(200)
  expect((await here.send('/logout')).status).toBe(200)
  expect(await here.hello()).toBe(401)
})

test('endpoints that were not mounted are not there', async () => {
  expect((await fetch(`${url}/introspect`, { method: 'POST' })).status).toBe(404)
  expect((await fetch(`${url}/jwks`)).status).toBe(200)
})
