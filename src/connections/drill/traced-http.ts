import { isRescindError } from '../../core/errors.ts'
import type { Http, HttpRequest } from '../../core/http.ts'
import { redact, type Secret } from '../../core/secret.ts'
import { traceableUrl, traceLine } from '../open-connectors/trace.ts'

/**
 * Shows each call that goes out: method, address without what may be secret, status, time. Bodies and
 * headers are never shown; the emulators' own control calls are left out.
 */
export function tracedHttp(
  http: Http,
  now: () => number,
  show: (line: string) => void,
  secrets: () => readonly Secret[] = () => [],
): Http {
  const send: Http['send'] = async (request: HttpRequest) => {
    if (String(request.url).includes('/__emulator/')) return http.send(request)
    const startedAt = now()
    const tell = (status: number | null, requestId: string | null) => {
      const url = traceableUrl(request.url)
      const call = { method: request.method, url, status, requestId, ms: now() - startedAt }
      show(redact(traceLine(call), ...secrets()))
    }
    try {
      const answer = await http.send(request)
      tell(answer.status, requestIdIn(answer.body))
      return answer
    } catch (error) {
      if (isRescindError(error)) tell(null, null)
      throw error
    }
  }
  return { ...http, send }
}

/** What the support of a platform asks for. */
function requestIdIn(body: string): string | null {
  return /"requestId"\s*:\s*"([0-9a-f]{24})"/.exec(body)?.[1] ?? null
}
