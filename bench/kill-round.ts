import { keepHeapSmall } from '../src/cli/heap.ts'
import { systemClock } from '../src/core/clock.ts'
import { applyPlan } from '../src/sweep/apply.ts'
import type { SweepEvent } from '../src/sweep/engine.ts'
import { takeInventory } from '../src/sweep/inventory.ts'
import { makePlan } from '../src/sweep/plan.ts'
import { policyFromFlags } from '../src/sweep/policy.ts'
import { summarizeRun } from '../src/sweep/summary.ts'
import { openClient, TENANT } from './client.ts'
import { type KillRound, SPARED_APPS } from './kill-plan.ts'

/** Smaller batches are the canary, or kills that are sent again. */
const MAIN_BATCH_MIN = 1_000

/** Follows a run by its events: when the main batch began and ended, and under which limits. */
function createMeter() {
  let startedAt = 0
  let cpuAtStart = process.cpuUsage()
  let endedAt = 0
  let cpu: NodeJS.CpuUsage | undefined
  let limitSeconds = 0
  let kills = 0
  return {
    tell(event: SweepEvent) {
      const now = performance.now()
      if (event.event === 'note') {
        if (event.kind !== 'canary') return
        startedAt = endedAt = now
        cpuAtStart = process.cpuUsage()
      } else if (event.phase === 'kill' && (event.total ?? 0) >= MAIN_BATCH_MIN) {
        limitSeconds += event.limit * ((now - endedAt) / 1000)
        endedAt = now
        kills = event.done
      } else if (event.phase === 'verify' && cpu === undefined) cpu = process.cpuUsage(cpuAtStart)
    },
    measured() {
      const seconds = (endedAt - startedAt) / 1000
      return {
        kills,
        seconds,
        meanConcurrency: limitSeconds / seconds,
        cpuMsPerKill: ((cpu?.user ?? 0) + (cpu?.system ?? 0)) / 1000 / kills,
      }
    },
  }
}

async function main(): Promise<KillRound> {
  await using client = await openClient()
  const { store, session } = client
  const provider = 'salesforce'
  const { inventories } = store
  const inventory = await takeInventory({ tenant: TENANT, provider, session, inventories })
  const policy = policyFromFlags({ app: ['*'], spareApp: SPARED_APPS })
  const plan = await makePlan({ store, inventory, policy, now: Date.now() })
  const chosen = plan.kills.flatMap(({ tokens }) => tokens)
  const handles = await inventories.handles(inventory, chosen)
  const sessions = [...handles.values()].filter(({ kind }) => kind === 'session').length
  const meter = createMeter()
  const startedAt = performance.now()
  const run = await applyPlan(
    {
      store,
      session,
      provider,
      tenant: TENANT,
      actor: 'bench',
      clock: systemClock,
      random: Math.random,
      signal: new AbortController().signal,
      tell: meter.tell,
    },
    plan.header,
  )
  const secondsWithProof = (performance.now() - startedAt) / 1000
  const { planned, dead } = await summarizeRun(store, run)
  return {
    planned,
    dead,
    secondsWithProof,
    sessions,
    ...meter.measured(),
  }
}

// As the command line does before anything else.
keepHeapSmall()
console.log(JSON.stringify(await main()))
