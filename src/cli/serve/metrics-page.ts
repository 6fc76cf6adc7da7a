import type { RequestListener } from 'node:http'

const TEXT = 'text/plain; version=0.0.4; charset=utf-8'

/** Returns what serves `/metrics`, and nothing else. */
export function metricsPage(read: () => Promise<string>): RequestListener {
  return (request, response) => {
    const isAsked = request.url?.split('?')[0] === '/metrics'
    if (!isAsked || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(isAsked ? 405 : 404, isAsked ? { allow: 'GET, HEAD' } : {}).end()
      return
    }
    read().then(
      (text) => void response.writeHead(200, { 'content-type': TEXT }).end(text),
      () => void response.writeHead(503, { 'retry-after': '1' }).end(),
    )
  }
}
