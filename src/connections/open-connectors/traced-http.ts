import type { Clock } from '../../core/clock.ts'
import type { Http } from '../../core/http.ts'
import type { TracedCall } from './trace.ts'
import { tracedSend } from './traced-send.ts'

/** Tells of each call that goes out; the emulators' own control calls are left out. */
export function tracedHttp(http: Http, clock: Clock, trace: (call: TracedCall) => void): Http {
  const send: Http['send'] = (request) =>
    String(request.url).includes('/__emulator/')
      ? http.send(request)
      : tracedSend({ http, clock, trace }, request)
  return { ...http, send }
}
