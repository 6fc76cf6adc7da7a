// Logging out of an Express app revokes: every token that was issued in the session, or was about to be, is
// dead before the answer goes out, on every process. Run it: node examples/express-logout/server.ts
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
  RescindError,
  type RevokeReach,
} from '../../src/server/index.ts'

const CLIENT = 'the-app'
const SESSIONS_MAX = 10_000

interface Session {
  readonly id: string
  readonly user: string
  isOver: boolean
}

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
  const sessions = new Map<string, Session>()
  const sessionOf = (request: Request): Session | undefined => {
    const [, id = ''] = /(?:^|; )sid=([\w-]+)/.exec(request.get('cookie') ?? '') ?? []
    return sessions.get(id)
  }
  // First the sessions, then the tokens: nobody begins to ask for more, and what had begun dies with the rest.
  // When the revocation fails they are there to be logged out again, and for nothing else.
  const logOut = async (over: readonly Session[], reach: RevokeReach, user: string) => {
    for (const session of over) session.isOver = true
    await authority.revoke(reach, { actor: `user:${user}` })
    for (const { id } of over) sessions.delete(id)
  }

  const app = express()
  app.use(mountExpress(onlyEndpoints(authority, ['token', 'revoke', 'jwks', 'metadata'])))
  app.use(express.urlencoded())

  // A real app checks a password here.
  app.post('/login', (request, response) => {
    if (sessions.size >= SESSIONS_MAX) return void response.status(503).end()
    const id = randomBytes(24).toString('base64url')
    sessions.set(id, { id, user: String(request.body.user), isOver: false })
    response.cookie('sid', id, { httpOnly: true, sameSite: 'strict' }).end()
  })

  // Tokens for the app's pages and devices, born in the session.
  app.post('/tokens', async (request, response) => {
    const session = sessionOf(request)
    if (!session || session.isOver) return void response.status(401).end()
    const { id: sessionId, user: userId } = session
    try {
      response.json(await authority.issue({ clientId: CLIENT, userId, sessionId, scope: '' }))
    } catch (error) {
      // He logged out meanwhile.
      if (!(error instanceof RescindError && error.code === 'request_stale')) throw error
      response.status(401).end()
    }
  })

  app.get('/hello', async (request, response) => {
    const [, token = ''] = /^Bearer (\S+)$/i.exec(request.get('authorization') ?? '') ?? []
    const known = await authority.introspect(token)
    if (known.active) response.json({ hello: known.sub })
    else response.status(401).set('WWW-Authenticate', 'Bearer error="invalid_token"').end()
  })

  // Whoever is told that he is out, is.
  app.post('/logout', async (request, response) => {
    const session = sessionOf(request)
    if (session) await logOut([session], { session: session.id }, session.user)
    response.clearCookie('sid').end()
  })

  app.post('/logout-everywhere', async (request, response) => {
    const user = sessionOf(request)?.user
    if (user !== undefined) {
      const all = [...sessions.values()].filter((session) => session.user === user)
      await logOut(all, { user }, user)
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
