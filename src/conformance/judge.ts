import type { HttpResponse } from '../core/http.ts'
import type { CallWish } from './caller.ts'
import { brief, type HeldToken, parseObject } from './grant.ts'
import { type Life, watchOf } from './life.ts'
import { fail, skip } from './verdict.ts'
import type { World } from './world.ts'

/** Returns the `error` of an answer, where it has one. */
export function errorOf(answer: HttpResponse): string | undefined {
  const { error } = parseObject(answer.body)
  return typeof error === 'string' ? error : undefined
}

/** @throws CaseEnd `fail` unless the answer is a 200. @see RFC 7009 section 2.2 */
export function expectOk(answer: HttpResponse, what: string): void {
  if (answer.status !== 200) fail(`${what} was answered with ${brief(answer)}; a 200 is due.`)
}

/** What a refusal may look like. */
export interface Refusal {
  readonly statuses: readonly number[]
  /** Where given, the body's `error` must be one of them. */
  readonly errors?: readonly string[] | undefined
}

/** @throws CaseEnd `fail` unless the answer is such a refusal */
export function expectRefused(answer: HttpResponse, refusal: Refusal, what: string): void {
  const { statuses, errors } = refusal
  const due = `${statuses.join(' or ')}${errors ? ` ${errors.join(' or ')}` : ''} is due`
  if (!statuses.includes(answer.status)) fail(`${what} was answered with ${brief(answer)}; ${due}.`)
  if (errors && !errors.includes(errorOf(answer) ?? '')) {
    fail(`${what} was answered with ${brief(answer)}; ${due}.`)
  }
}

/** @throws CaseEnd `fail` where the server broke */
export function expectNoCrash(answer: HttpResponse | undefined, what: string): void {
  if (answer !== undefined && answer.status >= 500) {
    fail(`${what} was answered with ${brief(answer)}: the server broke.`)
  }
}

/** Says whether the server refuses this kind of token by name. @see RFC 7009 section 2.2.1 */
export function isUnsupported(answer: HttpResponse): boolean {
  return answer.status === 400 && errorOf(answer) === 'unsupported_token_type'
}

/** Says whether an answer is that to a client that was let in, whatever became of its token. */
export function wasLetIn(answer: HttpResponse): boolean {
  return answer.status === 200 || (answer.status === 400 && errorOf(answer) !== 'invalid_client')
}

/** Revokes a token with one thing changed, which must not matter: 200, and it is dead. */
export async function revokesAnyway(
  world: World,
  token: HeldToken,
  wish: Partial<CallWish>,
  what: string,
): Promise<void> {
  const answer = await world.revoke({ as: token.role, token, ...wish })
  if (token.kind === 'access' && isUnsupported(answer)) {
    skip('The server does not revoke such access tokens (400 unsupported_token_type).')
  }
  expectOk(answer, what)
  await watchOf(world).expectDead(token, 'after the 200')
}

/** Sends a request that must be refused, and checks that the token lives. */
export async function refusesAndSpares(
  world: World,
  token: HeldToken,
  wish: CallWish,
  refusal: Refusal & { readonly what: string },
): Promise<HttpResponse> {
  const answer = await world.revoke(wish)
  expectRefused(answer, refusal, refusal.what)
  await watchOf(world).expectAlive(token, `though it was refused (${refusal.what})`)
  return answer
}

/** Says what has become of a token: the look that does not use it up, else by use, else a doubt. */
export async function lifeByUse(world: World, token: HeldToken): Promise<Life> {
  if (token.kind !== 'refresh') return await watchOf(world).lifeOrDoubt(token)
  const seen = await watchOf(world).life(token)
  if (seen !== 'unseen') return seen
  return (await world.refresh(token)).status === 200 ? 'alive' : 'dead'
}

/** The first of some roles that is configured. */
export function firstOf<R extends keyof World['config']['clients']>(
  world: World,
  roles: readonly R[],
): R | undefined {
  return roles.find((role) => world.config.clients[role] !== undefined)
}
