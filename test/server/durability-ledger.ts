import assert from 'node:assert/strict'
import type { Core } from '../../src/server/core.ts'
import { fingerprintOf } from '../../src/server/fingerprint.ts'
import type { EventRow } from '../../src/store/authority/contract.ts'
import type { Line } from './durability-load.ts'

const EVENTS_A_PAGE = 1_000

interface Family {
  readonly asked: number
  user: string
  started: number | null
  readonly access: string[]
  readonly refresh: string[]
  /** A rotation that was asked for and not answered: its parent may be superseded, or not. */
  isRotating: boolean
  /** Somebody asked for its end; when that was answered it is dead, and nobody may say otherwise. */
  isAsked: boolean
  isDead: boolean
  readonly askedAccess: Set<string>
  readonly deadAccess: Set<string>
}

interface UserEnd {
  readonly from: number
  to: number
}

/** What a load was answered, as it is to be found in the store. */
export interface Ledger {
  readonly families: ReadonlyMap<string, Family>
  readonly userEnds: ReadonlyMap<string, readonly UserEnd[]>
}

/** How many of each was checked, so that a test sees that it saw something. */
export interface Checked {
  readonly dead: number
  readonly alive: number
  readonly deadAccess: number
  readonly events: number
}

/** Reads the lines of a load in the order in which they were said. */
export function readLedger(lines: readonly Line[]): Ledger {
  const families = new Map<string, Family>()
  const userEnds = new Map<string, UserEnd[]>()
  for (const [at, line] of lines.entries()) {
    const family = families.get(line.on)
    switch (line.did) {
      case 'ask':
        readAsk(families, userEnds, line, at)
        break
      case 'start':
        Object.assign(family as Family, { user: line.user, started: at })
        family?.access.push(line.access)
        family?.refresh.push(line.refresh)
        break
      case 'rotate':
        Object.assign(family as Family, { isRotating: false })
        family?.access.push(line.access)
        family?.refresh.push(line.refresh)
        break
      case 'end':
        Object.assign(family as Family, { isDead: true })
        break
      case 'end_access':
        family?.deadAccess.add(line.token)
        break
      case 'end_user': {
        const ended = userEnds.get(line.on)?.find(({ to }) => to === Infinity) as UserEnd
        ended.to = at
        break
      }
    }
  }
  for (const family of families.values()) judgeByUser(family, userEnds.get(family.user) ?? [])
  return { families, userEnds }
}

function readAsk(
  families: Map<string, Family>,
  userEnds: Map<string, UserEnd[]>,
  { what, on, token }: Extract<Line, { did: 'ask' }>,
  at: number,
): void {
  const family = families.get(on)
  switch (what) {
    case 'start':
      families.set(on, {
        ...{ asked: at, user: '', started: null, access: [], refresh: [] },
        ...{ isRotating: false, isAsked: false, isDead: false },
        ...{ askedAccess: new Set(), deadAccess: new Set() },
      })
      break
    case 'rotate':
      Object.assign(family as Family, { isRotating: true })
      break
    case 'end':
      Object.assign(family as Family, { isAsked: true })
      break
    case 'end_access':
      family?.askedAccess.add(token as string)
      break
    case 'end_user':
      userEnds.set(on, [...(userEnds.get(on) ?? []), { from: at, to: Infinity }])
      break
  }
}

/** What was answered before a user's end was asked for is dead when that is answered. */
function judgeByUser(family: Family, ends: readonly UserEnd[]): void {
  const { asked, started } = family
  if (started === null) return
  if (ends.some(({ to }) => to > asked)) family.isAsked = true
  if (ends.some(({ from, to }) => from > started && to < Infinity)) family.isDead = true
}

/** Holds a store against what its load was answered: nothing is undone, nothing half done. */
export async function checkLedger(core: Core, { families, userEnds }: Ledger): Promise<Checked> {
  const isActive = async (token: string) => (await core.introspecting.token(token, null)).active
  const events = await readEvents(core)
  const checked = { dead: 0, alive: 0, deadAccess: 0, events: events.length }
  const grants = new Map<number, Map<string, number>>()
  for (const { grantId, type, token } of events) {
    if (grantId === null) continue
    const counts = grants.get(grantId) ?? new Map<string, number>()
    grants.set(grantId, counts)
    const key = type === 'grant.revoked' ? type : `${type} ${token}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  for (const [on, family] of families) {
    if (family.started === null) continue
    await checkWhole(core, on, family, grants)
    const isRefreshSure = !family.isRotating
    if (family.isDead) {
      checked.dead += 1
      for (const token of [...family.access, ...family.refresh]) {
        assert.equal(await isActive(token), false, `${on}: its revocation was undone`)
      }
    } else if (!family.isAsked) {
      checked.alive += 1
      const current = family.refresh.at(-1) as string
      if (isRefreshSure) assert.equal(await isActive(current), true, `${on}: it was lost`)
      for (const token of family.access) {
        if (!family.askedAccess.has(token)) {
          assert.equal(await isActive(token), true, `${on}: an access token was lost`)
        }
      }
    }
    for (const token of family.deadAccess) {
      checked.deadAccess += 1
      assert.equal(await isActive(token), false, `${on}: an access token's end was undone`)
    }
  }
  checkUserEvents(events, userEnds)
  return checked
}

/** A transition and its event are there together, once, or neither is. */
async function checkWhole(
  core: Core,
  on: string,
  { access, refresh }: Family,
  grants: ReadonlyMap<number, ReadonlyMap<string, number>>,
): Promise<void> {
  for (const text of [...refresh, ...access]) {
    const parsed = await core.tokens.parse(text)
    const view = parsed && (await core.tokens.find(parsed))
    assert.ok(view, `${on}: a token that was issued is unknown`)
    const counts = grants.get(view.grantId) ?? new Map<string, number>()
    const ended = view.grant.endedAt === null ? 0 : 1
    assert.equal(counts.get('grant.revoked') ?? 0, ended, `${on}: a grant's end and its event`)
    const type = view.kind === 'refresh' ? 'token.rotated' : 'token.revoked'
    const told = counts.get(`${type} ${fingerprintOf(view)}`) ?? 0
    assert.equal(told, view.end === null ? 0 : 1, `${on}: a token's end and its event`)
  }
}

function checkUserEvents(
  events: readonly EventRow[],
  userEnds: ReadonlyMap<string, readonly UserEnd[]>,
): void {
  const told = new Map<string | null, number>()
  for (const { type, userId } of events) {
    if (type === 'reach.revoked') told.set(userId, (told.get(userId) ?? 0) + 1)
  }
  for (const [user, ends] of userEnds) {
    const count = told.get(user) ?? 0
    const answered = ends.filter(({ to }) => to < Infinity).length
    assert.ok(count >= answered && count <= ends.length, `${user}: ${count} events of ${answered}`)
  }
}

async function readEvents({ store }: Core): Promise<readonly EventRow[]> {
  const events: EventRow[] = []
  for (;;) {
    const page = await store.readEvents(events.at(-1)?.position ?? null, EVENTS_A_PAGE)
    events.push(...page)
    if (page.length < EVENTS_A_PAGE) break
  }
  assert.equal(new Set(events.map(({ id }) => id)).size, events.length, 'two events of one id')
  return events
}
