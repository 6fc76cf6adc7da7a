import assert from 'node:assert/strict'
import type { TokenAnswer } from '../../src/server/grant.ts'
import { isRefusal, type Refusal } from '../../src/server/refusal.ts'
import type { AuthorityStore, EventRow } from '../../src/store/authority/contract.ts'
import type { World } from './core-world.ts'
import type { ActorName, Scene } from './interleavings-world.ts'

/** More than one run makes. */
const EVENTS_MAX = 100

const lastSeen = new WeakMap<AuthorityStore, string>()

/** Reads the events that are new since the last call. */
export async function newEvents({ store }: World): Promise<readonly EventRow[]> {
  const events = await store.readEvents(lastSeen.get(store) ?? null, EVENTS_MAX)
  const last = events.at(-1)
  if (last) lastSeen.set(store, last.position)
  return events
}

/** Invariant 1: what somebody was told is true from then on, whatever is still in flight. */
export async function checkAnswers(scene: Scene, fresh: Scene['answers']): Promise<void> {
  const earlier = scene.answers.filter((answer) => !fresh.includes(answer))
  const isDead = earlier.some(({ actor, answer }) => isKilled(scene, actor, answer))
  for (const { actor, answer } of fresh) {
    if (!isGranted(answer)) continue
    assert.ok(!isDead, `${actor} was granted by a grant that was known to be dead`)
    scene.known.add(answer.access_token)
    if (answer.refresh_token !== undefined) scene.known.add(answer.refresh_token)
  }
  const killers = scene.answers.filter(({ actor, answer }) => isKilled(scene, actor, answer))
  if (killers.length > 0) {
    const alive = await aliveOf(scene, [...scene.known])
    const names = killers.map(({ actor }) => actor).join(', ')
    assert.equal(alive.length, 0, `${alive.length} tokens are alive after ${names} was answered`)
  }
  if (scene.answers.some(({ actor }) => actor === 'revoke_access')) {
    assert.deepEqual(await aliveOf(scene, [scene.access]), [], 'a revoked access token is alive')
  }
}

/** Whoever was told that it is revoked, or was refused, was told that the whole grant is dead. */
function isKilled({ meeting }: Scene, actor: ActorName, answer: unknown): boolean {
  // What has expired is refused as well, and kills nothing.
  const mayBeForgotten = meeting.actors.includes('forget')
  switch (actor) {
    case 'revoke_user':
      return true
    case 'revoke_refresh':
    case 'revoke_superseded':
      assert.ok(answer !== 'foreign' && (answer !== 'unknown' || mayBeForgotten), String(answer))
      return answer === 'revoked' || !mayBeForgotten
    case 'revoke_access':
      return meeting.cascade === 'grant' && !mayBeForgotten
    case 'reuse':
    case 'replay':
      assert.ok(!isGranted(answer), `${actor} was granted`)
      return !mayBeForgotten
    case 'refresh':
    case 'redeem':
      return !isGranted(answer) && !mayBeForgotten
    case 'forget':
      return false
  }
}

/** Checks what must hold when everybody has ended. */
export async function checkEnd(scene: Scene): Promise<void> {
  await checkAnswers(scene, [])
  checkChildren(scene)
  await checkPeace(scene)
  await checkEvents(scene)
}

/** Invariant 2: one refresh token has at most one child, and a code is changed once. */
function checkChildren({ answers }: Scene): void {
  const given = answers.flatMap(({ answer }) => (isGranted(answer) ? [answer] : []))
  for (const name of ['refresh_token', 'access_token'] as const) {
    const children = new Set(given.map((answer) => answer[name]))
    assert.ok(children.size <= 1, `one token was changed into ${children.size}`)
  }
}

/** Where nobody revokes and nobody steals, nobody is refused, and what was given lives. */
async function checkPeace(scene: Scene): Promise<void> {
  const { actors, graceSeconds, cascade = 'token' } = scene.meeting
  const askers = actors.filter((actor) => actor === 'refresh' || actor === 'redeem')
  const isPeaceful = actors.every(
    (actor) => actor === 'refresh' || actor === 'redeem' || actor === 'revoke_access',
  )
  const isHonest =
    askers.length <= 1 || (graceSeconds > 0 && askers.every((actor) => actor === 'refresh'))
  if (!isPeaceful || !isHonest) return
  if (cascade === 'grant' && actors.includes('revoke_access')) return
  const given = scene.answers.flatMap(({ answer }) => (isGranted(answer) ? [answer] : []))
  assert.equal(given.length, askers.length, 'an honest request was refused')
  const tokens = given.flatMap((answer) => [answer.access_token, answer.refresh_token ?? ''])
  assert.equal((await aliveOf(scene, tokens)).length, tokens.length, 'what was given is dead')
}

/** Invariant 5: one event a transition, and none without one. */
async function checkEvents(scene: Scene): Promise<void> {
  const { watcher, meeting } = scene
  const counts: Record<string, number> = {}
  for (const { type, cause } of await newEvents(watcher)) {
    counts[type] = (counts[type] ?? 0) + 1
    assert.ok(isPossible(meeting.actors, cause), `nobody gave cause for ${cause}`)
  }
  const users = meeting.actors.filter((actor) => actor === 'revoke_user').length
  const [grant, ...ends] = await Promise.all([
    watcher.store.readGrant(scene.grantId),
    endOf(scene, scene.refresh),
    endOf(scene, scene.access),
    endOf(scene, scene.code),
  ])
  const isFresh = meeting.actors.includes('redeem')
  const expected: Record<string, number | undefined> = {
    'reach.revoked': users,
    'grant.revoked': grant === null ? undefined : Number(grant.endedAt !== null),
    'token.rotated': countOf(ends[0], 'used'),
    'token.revoked': countOf(ends[1], 'revoked'),
    'code.redeemed': isFresh ? countOf(ends[2], 'used') : 0,
  }
  for (const [type, count] of Object.entries(expected)) {
    const found = counts[type] ?? 0
    if (count === undefined) assert.ok(found <= 1, `${found} events ${type} of one transition`)
    else assert.equal(found, count, `${found} events ${type} of ${count} transitions`)
    delete counts[type]
  }
  assert.deepEqual(counts, {}, 'events without a transition')
}

/** A theft is told only where a token was presented twice. */
function isPossible(actors: readonly ActorName[], cause: string): boolean {
  const count = (name: ActorName) => actors.filter((actor) => actor === name).length
  if (cause === 'code_reuse') return count('replay') > 0 || count('redeem') > 1
  if (cause === 'refresh_reuse') return count('reuse') > 0 || count('refresh') > 1
  return true
}

type End = { readonly state: string } | null | 'forgotten'

async function endOf({ watcher }: Scene, token: string): Promise<End> {
  const parsed = await watcher.core.tokens.parse(token)
  const view = parsed && (await watcher.core.tokens.find(parsed))
  return view ? view.end : 'forgotten'
}

function countOf(end: End | undefined, state: string): number | undefined {
  if (end === 'forgotten') return undefined
  return end?.state === state ? 1 : 0
}

async function aliveOf({ watcher }: Scene, tokens: readonly string[]): Promise<readonly string[]> {
  const alive: string[] = []
  for (const token of tokens) {
    if ((await watcher.core.introspecting.token(token, null)).active) alive.push(token)
  }
  return alive
}

function isGranted(answer: unknown): answer is TokenAnswer {
  return typeof answer === 'object' && answer !== null && !isRefusal(answer as Refusal)
}
