import type { Clock } from '../../core/clock.ts'
import type { Http, HttpRequest, HttpResponse } from '../../core/http.ts'
import { requestIdIn } from './answer.ts'
import { type TracedCall, traceableUrl } from './trace.ts'

export interface OpenConnectorsMeans {
  readonly http: Http
  readonly clock: Clock
  /** Sees each call. */
  readonly trace?: ((call: TracedCall) => void) | undefined
}

/** Sends a request, and tells the trace of it, whether it was answered or not. */
export async function tracedSend(
  { http, clock, trace }: OpenConnectorsMeans,
  request: HttpRequest,
): Promise<HttpResponse> {
  const startedAt = clock.now()
  const tell = (status: number | null, requestId: string | null) =>
    trace?.({
      ...{ method: request.method, url: traceableUrl(request.url) },
      ...{ status, requestId, ms: clock.now() - startedAt },
    })
  try {
    const answer = await http.send(request)
    tell(answer.status, requestIdIn(answer))
    return answer
  } catch (error) {
    tell(null, null)
    throw error
  }
}
