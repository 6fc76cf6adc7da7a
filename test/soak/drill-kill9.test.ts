import { afterAll, beforeAll, describe, test } from 'vitest'
import { type DrillHome, openDrillHome } from '../support/drill-home.ts'
import { checkKilledDrill } from '../support/drill-kill9.ts'

/** 8 to 11 are not walked at this depth: it heals by itself. */
const STEPS = Array.from({ length: 16 }, (_, no) => no)

describe.each(['rescind', 'open-connectors'] as const)('SIGKILL of a drill via %s', (via) => {
  let drills: DrillHome
  beforeAll(async () => {
    drills = await openDrillHome(41)
  })
  afterAll(() => drills.close())

  const cases = (['access', 'refresh', 'grant'] as const).flatMap((depth) =>
    STEPS.filter((step) => depth !== 'access' || step < 8 || step > 11).map((step) => ({
      depth,
      step,
    })),
  )
  test.each(cases)('depth $depth, in step $step', async ({ depth, step }) => {
    await checkKilledDrill(drills, { via, depth, step })
  })
})
