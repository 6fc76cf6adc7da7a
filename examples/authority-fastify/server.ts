// An authority on Fastify 5, beside a route that takes its tokens.
// Run it: node examples/authority-fastify/server.ts
import { join } from 'node:path'
import { fastify } from 'fastify'
// In your project: from 'rescind/server'
import {
  createAuthority,
  loadKey,
  mountFastify,
  openSqliteAuthorityStore,
} from '../../src/server/index.ts'

/** Starts the app where its issuer says. */
export async function start(issuer: string, folder: string) {
  const authority = await createAuthority({
    issuer,
    store: await openSqliteAuthorityStore(join(folder, 'authority.db')),
    key: loadKey(join(folder, 'authority.key'), process.env.RESCIND_KEY),
  })
  const app = fastify()
  app.register(mountFastify(authority.handle))

  app.get('/hello', async (request, reply) => {
    const [, token = ''] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? []
    const known = await authority.introspect(token)
    if (known.active) return { hello: known.sub }
    return reply.code(401).header('WWW-Authenticate', 'Bearer error="invalid_token"').send()
  })

  const { hostname, port } = new URL(issuer)
  await app.listen({ host: hostname, port: Number(port) })
  const close = async () => {
    app.server.closeAllConnections()
    await app.close()
    await authority.close()
  }
  return { authority, close }
}

if (import.meta.main) {
  const { authority } = await start('http://127.0.0.1:9400', '.')
  if (!(await authority.clients.get('demo'))) {
    const { secret } = await authority.clients.add({
      id: 'demo',
      grantTypes: ['client_credentials'],
    })
    console.log(`The client "demo" has the secret ${secret?.reveal()}; it is not shown again.`)
  }
  console.log(`The authority is at ${authority.issuer}, the protected route at /hello.`)
}
