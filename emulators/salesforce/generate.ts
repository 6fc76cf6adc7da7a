import { createRandom, type Random } from '../random.ts'
import { type App, ROLE_APP } from './apps.ts'
import {
  APPROVALS_MAX,
  appendGrant,
  createGrantTable,
  type GrantTable,
  sealBase,
} from './grants.ts'
import type { OrgSkew } from './options.ts'
import { ROLE_USER, type User } from './users.ts'

/** How far back the oldest grant lies. */
const HISTORY_DAYS = 900
const DAY_S = 86_400
/** The packed second lies this many days back: old enough to be chosen by age. */
const PACKED_SECOND_DAYS = 200

/** What the generator needs to know. */
export interface GenerateOptions {
  readonly seed: number
  readonly tokens: number
  readonly skew: OrgSkew
  readonly users: readonly User[]
  readonly apps: readonly App[]
  /** The moment at which the history ends, in milliseconds. */
  readonly asOfMs: number
}

/**
 * Makes the grants of an org by seed, with the heaps that `skew` asks for.
 *
 * Creation times are drawn and sorted first, owners are dealt to the rows afterwards: so a million rows
 * need no sorting of objects.
 */
export function generateGrants(options: GenerateOptions): GrantTable {
  const { tokens, skew, users, apps } = options
  const random = createRandom(options.seed, 'grants')
  const asOfS = Math.floor(options.asOfMs / 1000)
  const created = drawCreated(random, tokens, skew.secondTokens, asOfS)
  const owners = dealOwners(random, options)
  const table = createGrantTable(tokens + 1024)
  for (let row = 0; row < tokens; row += 1) {
    const createdS = created[row]!
    const used = random.int(10) === 0 ? 0 : drawLastUsed(random, createdS, asOfS)
    appendGrant(table, {
      user: owners.user[row]!,
      app: owners.app[row]!,
      createdS,
      lastUsedS: used,
      useCount: used === 0 ? 0 : 1 + random.int(400),
    })
  }
  sealBase(table, users.length, apps.length)
  return table
}

function drawCreated(random: Random, tokens: number, packed: number, asOfS: number): Uint32Array {
  const created = new Uint32Array(tokens)
  const packedS = asOfS - PACKED_SECOND_DAYS * DAY_S - 12_345
  for (let row = 0; row < tokens; row += 1) {
    // Squared, so that recent approvals are more frequent than old ones.
    const age = random.next() ** 2 * HISTORY_DAYS * DAY_S
    created[row] = row < packed ? packedS : Math.floor(asOfS - 60 - age)
  }
  return created.sort()
}

function drawLastUsed(random: Random, createdS: number, asOfS: number): number {
  // Cubed: most grants are either in daily use or were dropped soon after the approval.
  const share = random.int(2) === 0 ? random.next() ** 3 : 1 - random.next() ** 3
  return createdS + Math.floor((asOfS - createdS) * share)
}

interface Owners {
  readonly user: Uint32Array
  readonly app: Uint16Array
}

function dealOwners(random: Random, options: GenerateOptions): Owners {
  const { tokens, skew, users } = options
  const user = new Uint32Array(tokens)
  const app = new Uint16Array(tokens)
  const weights = appWeights(random, options.apps)
  const deck = shuffledRows(random, tokens)
  const drawUser = userDrawer(random, users.length, options.apps.length)
  for (let at = 0; at < tokens; at += 1) {
    const row = deck[at]!
    const heap = at - skew.appTokens
    if (heap < 0) {
      app[row] = ROLE_APP.drift
      user[row] = drawUser(ROLE_APP.drift)
    } else if (heap < skew.userTokens) {
      user[row] = ROLE_USER.loader
      app[row] = ROLE_APP.dataSync
    } else {
      const drawn = weights[random.int(weights.length)]!
      app[row] = drawn
      user[row] = drawUser(drawn)
    }
  }
  return { user, app }
}

/** Those before it have a role. */
const FIRST_PLAIN_USER = Object.keys(ROLE_USER).length

/** Draws of a user for one app before the limit of five approvals is let go: a small org cannot keep it. */
const DRAWS_MAX = 8

/** Deals users to apps so that, where there are enough, none has over five approvals of one app. */
function userDrawer(random: Random, users: number, apps: number): (app: number) => number {
  const approvals = new Uint8Array(users * apps)
  let moved = 0
  return (app) => {
    let user = random.int(users)
    for (
      let draw = 1;
      draw < DRAWS_MAX && approvals[app * users + user]! >= APPROVALS_MAX;
      draw += 1
    ) {
      user = random.int(users)
    }
    // Not by another draw: all that is drawn after it would be another.
    if (isKeptFree(user, app)) user = FIRST_PLAIN_USER + (moved++ % (users - FIRST_PLAIN_USER))
    approvals[app * users + user]! += 1
    return user
  }
}

/** A test user's approvals of the apps that are there for tests are the tests' own: the budget is five. */
function isKeptFree(user: number, app: number): boolean {
  return user === ROLE_USER.limited && (app === ROLE_APP.dataSync || app === ROLE_APP.rotating)
}

/** A list in which an app stands as often as it is popular; the tool's own app and the heaped one are not in it. */
function appWeights(random: Random, apps: readonly App[]): number[] {
  const weights: number[] = []
  for (const app of apps) {
    if (app.index === ROLE_APP.tool || app.index === ROLE_APP.drift) continue
    const share = 2 + random.int(1 + Math.floor(60 / app.index))
    for (let n = 0; n < share; n += 1) weights.push(app.index)
  }
  return weights
}

function shuffledRows(random: Random, count: number): Uint32Array {
  const rows = Uint32Array.from({ length: count }, (_, row) => row)
  for (let at = count - 1; at > 0; at -= 1) {
    const other = random.int(at + 1)
    const held = rows[at]!
    rows[at] = rows[other]!
    rows[other] = held
  }
  return rows
}
