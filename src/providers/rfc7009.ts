import { z } from 'zod'
import { isRescindError, RescindError } from '../core/errors.ts'
import type { Fingerprint } from '../core/secret.ts'
import { Secret } from '../core/secret.ts'
import { CLIENT_AUTH_METHODS } from '../protocol/client-auth.ts'
import type { Way } from '../protocol/oauth-request.ts'
import { openRfc7009Target } from '../protocol/open-target.ts'
import type { RevocationTarget } from '../protocol/revocation-target.ts'
import { judgeSightings, lookAtToken, type Sighting } from '../protocol/verify-dead.ts'
import type {
  Capability,
  Kill,
  KillAnswer,
  KillToken,
  LookAnswer,
  Means,
  Provider,
  ProviderSession,
  TenantConfig,
} from './provider.ts'

const secret = z.instanceof(Secret)

const loginSchema = z.strictObject({
  clientId: z.string().optional(),
  clientAuth: z.enum(CLIENT_AUTH_METHODS).optional(),
  clientSecret: secret.optional(),
  clientKey: secret.optional(),
})

const optionsSchema = z.strictObject({
  endpoint: z.string().optional(),
  introspectionEndpoint: z.string().optional(),
})

/**
 * Any server that does RFC 7009. It has no list of tokens: the caller holds each token, and the
 * token itself is the handle. With RFC 7662 it can say whether a token lives.
 */
export const rfc7009: Provider = {
  id: 'rfc7009',
  title: 'Any RFC 7009 revocation endpoint',
  supports: { inventory: false, kill: ['token'], prove: ['acked', 'inactive'], block: false },
  open: async (tenant, means) => {
    const wish = parseTenant(tenant)
    return openSession(tenant, await openRfc7009Target(wish, wayOf(means)), means)
  },
}

function parseTenant(tenant: TenantConfig) {
  const login = loginSchema.safeParse(tenant.login)
  const options = optionsSchema.safeParse(tenant.options)
  const issue = login.error?.issues[0] ?? options.error?.issues[0]
  if (issue || !login.success || !options.success) {
    const where = [login.success ? 'options' : 'login', ...(issue?.path ?? [])].join('.')
    const message = `Tenant "${tenant.name}": ${where} is wrong: ${issue?.message}.`
    throw new RescindError('config_invalid', message)
  }
  // The url is the issuer, unless the endpoint is given and no metadata is needed.
  const issuer = options.data.endpoint === undefined ? tenant.url : undefined
  return { issuer, ...options.data, ...login.data }
}

function wayOf(means: Means, signal?: AbortSignal): Way {
  return { fetch: means.http.fetch, signal: signal ?? means.signal }
}

function openSession(
  tenant: TenantConfig,
  target: RevocationTarget,
  means: Means,
): ProviderSession {
  const { url, name } = tenant
  /** What was seen before the kill: without it, "inactive" may only mean "not yours to see". */
  const before = new Map<Fingerprint, Sighting>()
  return {
    account: { id: url, name, url, caller: { userId: '', userName: 'the client' } },
    check: async () => capabilities(target),
    inventory: () => {
      throw new RescindError(
        'provider_unsupported',
        'An RFC 7009 server has no list of tokens. Revoke one that you hold with "rescind revoke".',
      )
    },
    kill: async (kill, signal) => {
      const way = wayOf(means, signal)
      const token = onlyToken(kill)
      // A kill that is sent again must not forget that the token was once seen alive.
      if (!before.has(token.fingerprint)) {
        before.set(token.fingerprint, await lookAtToken(target, { token: token.handle }, way))
      }
      return await killToken(target, token, way, means)
    },
    look: (tokens, signal) => look(target, tokens, before, wayOf(means, signal)),
    reachNow: async (kill) => new Set(kill.tokens.map(({ fingerprint }) => fingerprint)),
    close: async () => undefined,
  }
}

function capabilities(target: RevocationTarget): readonly Capability[] {
  const looks = target.looks.length > 0
  return [
    { name: 'kill a token that is held', can: 'unknown', why: 'The server says so at the first.' },
    {
      name: 'prove a death',
      can: looks ? 'unknown' : 'no',
      why: looks
        ? 'There is an introspection endpoint; whether it answers this client shows at the first.'
        : 'No introspection endpoint is known: give options.introspectionEndpoint.',
    },
  ]
}

function onlyToken(kill: Kill): KillToken {
  const [token] = kill.tokens
  if (kill.reach.kind === 'token' && token && kill.tokens.length === 1) return token
  throw new RescindError('provider_unsupported', 'An RFC 7009 server kills one token at a time.')
}

async function killToken(
  target: RevocationTarget,
  token: KillToken,
  way: Way,
  means: Means,
): Promise<KillAnswer> {
  try {
    const response = await target.send({ token: token.handle }, way)
    const { outcome, code, retryAfterMs, busy, credentialTrouble } = await target.judge(
      response,
      means.clock,
    )
    return { outcome, code, retryAfterMs, congested: busy, credentialTrouble }
  } catch (error) {
    if (!(error instanceof RescindError)) throw error
    const lost = isRescindError(error, 'http_timeout', 'http_reset', 'http_too_large')
    return { outcome: lost ? 'in_doubt' : 'failed', code: error.code }
  }
}

async function look(
  target: RevocationTarget,
  tokens: readonly KillToken[],
  before: ReadonlyMap<Fingerprint, Sighting>,
  way: Way,
): Promise<LookAnswer> {
  const present = new Set<Fingerprint>()
  const unclear = new Set<Fingerprint>()
  for (const { fingerprint, handle } of tokens) {
    const after = await lookAtToken(target, { token: handle }, way)
    const { proof, alive } = judgeSightings(target.looks, before.get(fingerprint) ?? {}, after)
    if (alive) present.add(fingerprint)
    else if (proof === 'none') unclear.add(fingerprint)
  }
  return { present, unclear }
}
