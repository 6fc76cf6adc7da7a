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
        return await killMany(connection, means, kill, [reach.app, reach.user, 'tokens'], signal)
      case 'app':
        return await killMany(connection, means, kill, [reach.app, 'tokens'], signal)
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    return judgeKillError(error)
  }
}

/**
 * Kills all grants of an app, or of a user and app, by one call. That call leaves sessions alone,
 * so those that the kill is meant to reach are deleted one by one. The first answer that is no
 * death is the answer to the whole.
 */
async function killMany(
  connection: Connection,
  means: Pick<Means, 'http'>,
  { tokens }: Kill,
  parts: readonly string[],
  signal: AbortSignal | undefined,
): Promise<KillAnswer> {
  const sessions = tokens.filter(({ kind }) => kind === 'session')
  let answer: KillAnswer | undefined
  if (sessions.length === 0 || sessions.length < tokens.length) {
    answer = await sendDelete(connection, usagePath(connection, ...parts), 'many', signal)
    if (!isDeath(answer)) return answer
  }
  for (const session of sessions) {
    const deleted = await killToken(connection, means, session, signal)
    if (!isDeath(deleted)) return deleted
    answer ??= deleted
  }
  return answer ?? { outcome: 'refused', code: 'no_handle' }
}

function isDeath({ outcome }: KillAnswer): boolean {
  return outcome === 'revoked' || outcome === 'already_dead'
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
      return judgeRevocation(answer)
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
