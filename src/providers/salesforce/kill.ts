import { redact } from '../../core/secret.ts'
import type { Kill, KillAnswer, KillToken, Means } from '../provider.ts'
import type { Connection } from './connection.ts'
import { usagePath } from './external-apps.ts'
import { parseHandle } from './handles.ts'
import { type Deleted, judgeDeletion, judgeKillError, judgeRevocation } from './kill-answer.ts'
import { oauthEndpoint } from './token-request.ts'

/**
 * Sends one kill, once: a DeleteToken to the revocation endpoint of the instance, which asks for
 * no other authority; the rest as a DELETE with our session.
 *
 * @throws only the reason of an abort
 */
export async function sendKill(
  connection: Connection,
  means: Pick<Means, 'http'>,
  kill: Kill,
  signal?: AbortSignal,
): Promise<KillAnswer> {
  try {
    const { reach, tokens } = kill
    switch (reach.kind) {
      case 'token':
        return await killToken(connection, means, tokens[0], signal)
      case 'user_app':
        return await killMany(connection, [reach.app, reach.user, 'tokens'], signal)
      case 'app':
        return await killMany(connection, [reach.app, 'tokens'], signal)
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    return judgeKillError(error)
  }
}

/** Kills all grants of an app, or of a user and app, by one call; it leaves sessions alone. */
async function killMany(
  connection: Connection,
  parts: readonly string[],
  signal: AbortSignal | undefined,
): Promise<KillAnswer> {
  return sendDelete(connection, usagePath(connection, ...parts), 'many', signal)
}

async function killToken(
  connection: Connection,
  means: Pick<Means, 'http'>,
  token: KillToken | undefined,
  signal: AbortSignal | undefined,
): Promise<KillAnswer> {
  const handle = token && parseHandle(token.handle)
  if (!handle) return { outcome: 'refused', code: 'no_handle' }
  const value = handle.value.reveal()
  switch (handle.kind) {
    case 'delete': {
      const answer = await means.http.send({
        method: 'POST',
        url: oauthEndpoint(connection.instanceUrl(), 'revoke'),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: `token=${encodeURIComponent(value)}`,
        signal,
      })
      const judged = judgeRevocation(answer)
      // An endpoint may echo what it was sent.
      return { ...judged, code: redact(judged.code, handle.value) }
    }
    case 'usage':
      return sendDelete(connection, usagePath(connection, 'tokens', value), 'one', signal)
    case 'session': {
      const id = encodeURIComponent(value)
      const path = `/services/data/v${connection.apiVersion}/sobjects/AuthSession/${id}`
      return sendDelete(connection, path, 'one', signal)
    }
  }
}

async function sendDelete(
  connection: Connection,
  path: string,
  deleted: Deleted,
  signal: AbortSignal | undefined,
): Promise<KillAnswer> {
  return judgeDeletion(await connection.send({ method: 'DELETE', path, signal }), deleted)
}
