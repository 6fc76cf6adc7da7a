import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CaseResult, runConformance } from '../../src/conformance/conformance.ts'
import { GROUPS } from '../../src/conformance/table.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { Lifetimes } from '../../src/server/options.ts'
import { postgresKind, SQLITE } from '../store/authority/kinds.ts'
import { findPostgres, newDatabase } from '../support/postgres-database.ts'
import { startAuthorityPeer } from './peers/authority.ts'

/** A busy machine: the race cases have a window in each round, and the soak runs more of them. */
const RACES = 5
const SAMPLES = 40
const RUN_MS_MAX = 180_000
const EVENTS_KEPT_MS = 86_400_000

/** How an authority is set up, and the cases that are tested so; without any, all of them. */
interface Setup {
  readonly title: string
  readonly lifetimes?: Partial<Lifetimes>
  readonly jwt?: boolean
  readonly only?: readonly number[]
}

/** No access token of the default setup expires in a test, and none of it is a JWT. */
const SHORT = [32, 80, 208]
const JWT = [37, 38, 39, 40]
const SETUPS: readonly Setup[] = [
  { title: 'by default' },
  { title: 'with JWT access tokens', jwt: true, only: [23, 24, 75, 115, 116, 117, ...JWT] },
  { title: 'without a grace', lifetimes: { refreshGrace: 0 }, only: [90, 93, 94, 99, 100, 206] },
  { title: 'with tokens of three seconds', lifetimes: { accessToken: 3 }, only: SHORT },
]
/** What cannot be seen over this door is tested inside: the reason says why it is not here. */
const NOT_HERE = /^Not testable from outside|^It needs another node|^The server is on this machine/
/** Verdicts that a MUST or a SHOULD may have: a deviation is a choice that the specification leaves. */
const KEPT = ['pass', 'deviation']
const LEVELS = ['must', 'should']

const { missing } = await findPostgres()
const KINDS = [SQLITE, ...(missing === undefined ? [postgresKind(newDatabase)] : [])]

// Skipped only where no PostgreSQL can be started: the title says why.
if (missing !== undefined) test.skip(`the authority on PostgreSQL${missing}`)

describe.each(KINDS)('the authority on $name', (kind) => {
  describe.each(SETUPS)('$title', ({ lifetimes, jwt, only }) => {
    const cases = GROUPS.flatMap((group) => group.cases)
      .filter(({ level }) => LEVELS.includes(level))
      .filter(({ id }) =>
        only === undefined ? ![...SHORT, ...JWT].includes(id) : only.includes(id),
      )
    const found = new Map<number, CaseResult>()
    let close: () => Promise<void> = async () => {}
    beforeAll(async () => {
      const place = await kind.create()
      const peer = await startAuthorityPeer(
        await place.open({ clock: systemClock, eventsKeptMs: EVENTS_KEPT_MS }),
        { lifetimes, jwt },
      )
      close = async () => {
        await peer.close()
        await place.remove()
      }
      const limits = { races: RACES, samples: SAMPLES }
      const ids = cases.map(({ id }) => id)
      const report = await runConformance({ config: peer.config, only: ids, ...limits })
      for (const result of report.results) found.set(result.id, result)
    }, RUN_MS_MAX)
    afterAll(() => close())

    test.for(cases)('case $id: $title', ({ id }, { skip }) => {
      const { verdict, what, evidence } = found.get(id) as CaseResult
      if (verdict === 'skipped' && NOT_HERE.test(what)) skip(what)
      expect(KEPT, `${what}\n${JSON.stringify(evidence.at(-1))}`).toContain(verdict)
    })
  })
})
