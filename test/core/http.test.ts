import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  createHttp,
  type Http,
  hadNoEffect,
  mayHaveHadEffect,
  parseRetryAfter,
} from '../../src/core/http.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const thing of open.splice(0).reverse()) await thing.close()
})

async function serve(handler: RequestListener, server: Server = createServer()): Promise<string> {
  server.on('request', handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push({
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function client(options: Parameters<typeof createHttp>[0] = {}): Http {
  const http = createHttp(options)
  open.push({ close: () => http.close() })
  return http
}

async function failure(
  call: Promise<unknown>,
): Promise<{ code: string; message: string; error: unknown }> {
  try {
    await call
  } catch (error) {
    return { ...(error as { code: string }), message: (error as Error).message, error }
  }
  throw new Error('it did not fail')
}

describe('RFC 9110 section 10.2.3: Retry-After', () => {
  const now = Date.parse('2025-08-08T10:00:00Z')
  test.for([
    ['5', 5_000],
    [' 5 ', 5_000],
    ['0', 0],
    ['Fri, 08 Aug 2025 10:00:30 GMT', 30_000],
    ['Friday, 08-Aug-25 10:00:30 GMT', 30_000],
    ['Fri, 08 Aug 2025 09:00:00 GMT', 0],
    ['999999999999999999999', 3_600_000],
    ['soon', undefined],
    ['', undefined],
    [undefined, undefined],
  ] as const)('%s', ([value, ms]) => {
    expect(parseRetryAfter(value, now)).toBe(ms)
  })

  test.for([
    [
      'an hour behind ours',
      'Fri, 08 Aug 2025 09:00:30 GMT',
      'Fri, 08 Aug 2025 09:00:00 GMT',
      30_000,
    ],
    [
      'an hour ahead of ours',
      'Fri, 08 Aug 2025 11:00:30 GMT',
      'Fri, 08 Aug 2025 11:00:00 GMT',
      30_000,
    ],
    ['not told', 'Fri, 08 Aug 2025 10:00:30 GMT', 'yesterday', 30_000],
  ] as const)('a date is read by its server’s own clock: %s', ([, value, date, ms]) => {
    expect(parseRetryAfter(value, now, date)).toBe(ms)
  })
})

describe('one request', () => {
  test('gives status, lower-case headers, body and the time it took, whatever the status', async () => {
    const url = await serve((_, response) => {
      response.writeHead(503, { 'Retry-After': '2', 'X-A': ['1', '2'] }).end('busy')
    })
    const answer = await client().send({ method: 'GET', url })
    expect(answer).toMatchObject({ status: 503, body: 'busy', retryAfterMs: 2_000 })
    expect(answer.headers['x-a']).toBe('1, 2')
  })

  test('a redirect is an answer, and is not followed', async () => {
    const seen: string[] = []
    const url = await serve((request, response) => {
      seen.push(request.url ?? '')
      response.writeHead(302, { location: '/elsewhere' }).end()
    })
    const http = client()
    expect((await http.send({ method: 'POST', url, body: 'token=x' })).status).toBe(302)
    expect((await http.fetch(url)).status).toBe(302)
    expect(seen).toEqual(['/', '/'])
  })

  test('no answer in time: whether it acted is not known', async () => {
    const url = await serve(() => {})
    const { code, error } = await failure(client({ timeoutMs: 50 }).send({ method: 'POST', url }))
    expect(code).toBe('http_timeout')
    expect([hadNoEffect(error), mayHaveHadEffect(error)]).toEqual([false, true])
  })

  test('a body that stalls is a timeout, too', async () => {
    const url = await serve((_, response) => void response.writeHead(200).write('half'))
    const { code } = await failure(client().send({ method: 'GET', url, timeoutMs: 80 }))
    expect(code).toBe('http_timeout')
  })

  test.for(['before the answer', 'in its middle'])('a connection that breaks %s', async (when) => {
    const url = await serve((request, response) => {
      if (when === 'before the answer') request.socket.resetAndDestroy()
      else
        response
          .writeHead(200, { 'content-length': '10' })
          .write('half', () => request.socket.destroy())
    })
    const { code, error, message } = await failure(client().send({ method: 'POST', url }))
    expect(code).toBe('http_reset')
    expect(message).toContain(url)
    expect([hadNoEffect(error), mayHaveHadEffect(error)]).toEqual([false, true])
  })

  test('an answer without end is cut off', async () => {
    const chunk = Buffer.alloc(1024 * 1024)
    const url = await serve((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(chunk));
      }
      response.writeHead(200).on('drain', more)
      more()
    })
    const { code, error } = await failure(client().send({ method: 'GET', url }))
    expect(code).toBe('http_too_large')
    expect([hadNoEffect(error), mayHaveHadEffect(error)]).toEqual([false, true])
  })

  test('an abort gives its own reason', async () => {
    const url = await serve(() => {})
    const controller = new AbortController()
    const call = client().send({ method: 'GET', url, signal: controller.signal })
    const reason = new Error('a person stopped it')
    setTimeout(() => controller.abort(reason), 20)
    await expect(call).rejects.toBe(reason)
  })

  test('a port where nobody listens, and a name that nobody has: nothing was sent', async () => {
    vi.stubEnv('NO_PROXY', '*')
    for (const url of ['http://127.0.0.1:1', 'https://no-such-host.invalid']) {
      const { code, error } = await failure(client().send({ method: 'POST', url }))
      expect(code).toBe('host_unreachable')
      expect([hadNoEffect(error), mayHaveHadEffect(error)]).toEqual([true, false])
    }
  })

  test.for([
    ['http://acme.example.com/x', 'url_plain_http'],
    ['ftp://acme.example.com', 'url_invalid'],
    ['https://joe:secret@acme.example.com', 'url_invalid'],
    ['acme', 'url_invalid'],
  ] as const)('%s is refused before anything is sent', async ([url, expected]) => {
    const { code, error, message } = await failure(client().send({ method: 'POST', url }))
    expect(code).toBe(expected)
    expect(message).not.toContain('secret')
    expect([hadNoEffect(error), mayHaveHadEffect(error)]).toEqual([true, false])
  })
})

describe('RFC 8446: TLS', () => {
  test('a server that cannot prove who it is gets nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rescind-tls-'))
    const [key, cert] = [join(folder, 'key'), join(folder, 'cert')]
    const args = ['req', '-x509', '-nodes', '-newkey', 'rsa:2048', '-subj', '/CN=localhost']
    execFileSync('openssl', [...args, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    const seen: string[] = []
    const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) })
    rmSync(folder, { recursive: true })
    const url = await serve((request) => void seen.push(request.url ?? ''), server as never)
    const call = client().send({ method: 'POST', url: url.replace('http:', 'https:') })
    const { code, error, message } = await failure(call)
    expect(code).toBe('tls_failed')
    expect(message).toMatch(/NODE_EXTRA_CA_CERTS/)
    expect([hadNoEffect(error), mayHaveHadEffect(error)]).toEqual([true, false])
    expect(seen).toEqual([])
  })
})

/** A proxy of the plain kind: CONNECT opens a tunnel, everything else is forwarded by its whole address. */
async function startProxy(target: string): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = []
  const { hostname, port } = new URL(target)
  const server = createServer()
  server.on('connect', (request, socket: Socket) => {
    asked.push(`CONNECT ${request.url}`)
    const onward = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      onward.pipe(socket).pipe(onward)
    })
    socket.on('error', () => onward.destroy())
    onward.on('error', () => socket.destroy())
    open.push({ close: () => onward.destroy() })
  })
  const url = await serve((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    response.end('from the proxy')
  }, server)
  return { url, asked }
}

describe('proxies from the environment', () => {
  const setup = async () => {
    const origin = await serve((_, response) => void response.end('from the origin'))
    const proxy = await startProxy(origin)
    vi.stubEnv('http_proxy', proxy.url)
    vi.stubEnv('https_proxy', proxy.url)
    vi.stubEnv('no_proxy', '')
    vi.stubEnv('NO_PROXY', '')
    return { origin, proxy }
  }
  const acceptRisk = ['plain-http'] as const

  test('a public host is asked through the proxy', async () => {
    const { proxy } = await setup()
    const { body } = await client({ acceptRisk }).send({
      method: 'GET',
      url: 'http://acme.example/x',
    })
    expect(proxy.asked.join()).toContain('acme.example')
    expect(body).toMatch(/^from the (proxy|origin)$/)
  })

  test('a host in NO_PROXY is not', async () => {
    const { proxy } = await setup()
    vi.stubEnv('no_proxy', 'acme.invalid')
    const call = client({ acceptRisk }).send({ method: 'GET', url: 'http://acme.invalid/x' })
    expect((await failure(call)).code).toBe('host_unreachable')
    expect(proxy.asked).toEqual([])
  })

  test('loopback never is', async () => {
    const { proxy, origin } = await setup()
    expect((await client().send({ method: 'GET', url: origin })).body).toBe('from the origin')
    expect(proxy.asked).toEqual([])
  })

  test('a proxy that does not answer: nothing was sent', async () => {
    await setup()
    vi.stubEnv('https_proxy', 'http://127.0.0.1:1')
    const { code, error } = await failure(
      client().send({ method: 'POST', url: 'https://acme.example' }),
    )
    expect(code).toBe('host_unreachable')
    expect([hadNoEffect(error), mayHaveHadEffect(error)]).toEqual([true, false])
  })
})
