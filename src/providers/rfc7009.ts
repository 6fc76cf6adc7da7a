import { z } from 'zod'
import { isRescindError, RescindError } from '../core/errors.ts'
import { mayHaveHadEffect } from '../core/http.ts'
import type { Fingerprint } from '../core/secret.ts'
import { Secret } from '../core/secret.ts'
import { CLIENT_AUTH_METHODS } from '../protocol/client-auth.ts'
import type { Way } from '../protocol/oauth-request.ts'
import { type ClientWish, chooseClient, openRfc7009Target } from '../protocol/open-target.ts'
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

/** A secret is never in the file itself: there it is named, and here it is resolved. */
const REFERENCE = /^\$\{(?:env|file):[^}]+\}$/
const secret = z
  .union([z.instanceof(Secret), z.string().regex(REFERENCE)])
  .transform((value) => (value instanceof Secret ? value : new Secret(value)))
/** The keys of `login` that hold one. */
const SECRETS = ['clientSecret', 'clientKey']

const loginSchema = z.strictObject({
  clientId: z.string().optional(),
  /** How the client authenticates; without it, what the credential allows and the server takes. */
  method: z.enum(CLIENT_AUTH_METHODS).optional(),
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
  secrets: SECRETS,
  checkConfig: (tenant) => {
    parseTenant(tenant)
  },
  heldToken: {
    addresses: ['issuer', 'endpoint', 'introspectionEndpoint'],
    sayWhere: 'Say where: --issuer URL, --endpoint URL, or --provider with --url.',
    openTarget: openRfc7009Target,
  },
  open: async (tenant, means) => {
    const wish = parseTenant(tenant)
    return openSession(tenant, await openRfc7009Target(wish, wayOf(means)), means)
  },
}

function parseTenant(tenant: TenantConfig) {
  const login = loginSchema.safeParse(tenant.login)
  const options = optionsSchema.safeParse(tenant.options)
  if (!login.success) throw wrong(tenant, 'login', login.error)
  if (!options.success) throw wrong(tenant, 'options', options.error)
  const { method: clientAuth, ...client } = login.data
  const wish = { ...options.data, ...client, clientAuth }
  checkClient(tenant, wish)
  // The url is the issuer, unless the endpoint is given and no metadata is needed.
  const issuer = options.data.endpoint === undefined ? tenant.url : undefined
  return { issuer, ...wish }
}

/** Only paths and reasons: the values may be secrets. */
function wrong({ name }: TenantConfig, part: string, { issues }: z.ZodError): RescindError {
  const reasons = issues.map((issue) => {
    const path = [part, ...issue.path].join('.')
    switch (issue.code) {
      case 'unrecognized_keys':
        return `${part} has an unknown key ${issue.keys.join(', ')}`
      case 'invalid_value':
        return `${path} is not one of ${issue.values.join(', ')}`
      default:
        return SECRETS.includes(String(issue.path[0]))
          ? `${path} is a secret, which is named and not written: \${env:NAME} or \${file:path}`
          : `${path} is of the wrong kind`
    }
  })
  return new RescindError('config_invalid', `Tenant "${name}": ${reasons.join('; ')}.`)
}

/** What does not fit together is said before the first login, by the names that the file has. */
function checkClient({ name }: TenantConfig, wish: ClientWish): void {
  try {
    chooseClient(wish)
  } catch (cause) {
    if (!isRescindError(cause, 'usage')) throw cause
    const { clientAuth, clientId } = wish
    const needs = clientId === undefined && clientAuth !== 'none' ? 'clientId, and ' : ''
    const message = `Tenant "${name}": login does not fit together. It needs ${needs}clientSecret for client_secret_basic and client_secret_post, clientKey for private_key_jwt, and neither for none.`
    throw new RescindError('config_invalid', message, { cause })
  }
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
    return { outcome: mayHaveHadEffect(error) ? 'in_doubt' : 'failed', code: error.code }
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
