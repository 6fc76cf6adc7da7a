// Logging out of an Express app revokes: every token that was issued in the session is dead before the
// answer goes out, on every process. Run it: node examples/express-logout/server.ts
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import express, { type Request } from 'express'
// In your project: from 'rescind/server'
import {
  createAuthority,
  loadKey,
  mountExpress,
  onlyEndpoints,
  openSqliteAuthorityStore,
} from '../../src/server/index.ts'

const CLIENT = 'the-app'
const SESSIONS_MAX = 10_000

/** Starts the app where its issuer says. It has a login of its own, and mounts what it wants of the authority. */
export async function start(issuer: string, folder: string) {
  const authority = await createAuthority({
    issuer,
    store: await openSqliteAuthorityStore(join(folder, 'authority.db')),
    key: loadKey(join(folder, 'authority.key'), process.env.RESCIND_KEY),
  })
  if (!(await authority.clients.get(CLIENT))) {
    await authority.clients.add({ id: CLIENT, authMethod: 'none', grantTypes: ['refresh_token'] })
  }
  const sessions = new Map<string, string>()
  const sessionOf = (request: Request) => {
    const [, id = ''] = /(?:^|; )sid=([\w-]+)/.exec(request.get('cookie') ?? '') ?? []
    const user = sessions.get(id)
    return user === undefined ? null : { id, user }
  }
  const forget = (isGone: (id: string, user: string) => boolean) => {
    for (const [id, user] of sessions) if (isGone(id, user)) sessions.delete(id)
  }

  const app = express()
  app.use(mountExpress(onlyEndpoints(authority, ['token', 'revoke', 'jwks', 'metadata'])))
  app.use(express.urlencoded())

  // A real app checks a password here.
  app.post('/login', (request, response) => {
    if (sessions.size >= SESSIONS_MAX) return void response.status(503).end()
    const id = randomBytes(24).toString('base64url')
    sessions.set(id, String(request.body.user))
    response.cookie('sid', id, { httpOnly: true, sameSite: 'strict' }).end()
  })

  // Tokens for the app's pages and devices, born in the session.
  app.post('/tokens', async (request, response) => {
    const session = sessionOf(request)
    if (!session) return void response.status(401).end()
    const { id: sessionId, user: userId } = session
    response.json(await authority.issue({ clientId: CLIENT, userId, sessionId, scope: '' }))
  })

  app.get('/hello', async (request, response) => {
    const [, token = ''] = /^Bearer (\S+)$/i.exec(request.get('authorization') ?? '') ?? []
    const known = await authority.introspect(token)
    if (known.active) response.json({ hello: known.sub })
    else response.status(401).set('WWW-Authenticate', 'Bearer error="invalid_token"').end()
  })

  // First the tokens, then the session: whoever is told that he is out, is.
  app.post('/logout', async (request, response) => {
    const session = sessionOf(request)
    if (session) {
      await authority.revoke({ session: session.id }, { actor: `user:${session.user}` })
      forget((id) => id === session.id)
    }
    response.clearCookie('sid').end()
  })

  app.post('/logout-everywhere', async (request, response) => {
    const session = sessionOf(request)
    if (session) {
      await authority.revoke({ user: session.user }, { actor: `user:${session.user}` })
      forget((_, user) => user === session.user)
    }
    response.clearCookie('sid').end()
  })

  const { hostname, port } = new URL(issuer)
  const server = app.listen(Number(port), hostname)
  await once(server, 'listening')
  const close = async () => {
    server.close()
    server.closeAllConnections()
    await authority.close()
  }
  return { authority, close }
}

if (import.meta.main) {
  const { authority } = await start('http://127.0.0.1:9400', '.')
  console.log(`The app is at ${authority.issuer}: POST /login, /tokens, /logout.`)
}
