import { readFileSync } from 'node:fs'
import { keepHeapSmall } from '../src/cli/heap.ts'
import type { Http } from '../src/core/http.ts'
import { takeInventory } from '../src/sweep/inventory.ts'
import { openClient, TENANT } from './client.ts'

/** What one inventory says of itself. */
export interface InventoryRound {
  readonly tokens: number
  readonly complete: boolean
  readonly seconds: number
  /** The most memory that the process had resident, from its start to its end. */
  readonly peakMb: number
  readonly cpuSeconds: number
  /** The addresses that it read, without the pages that follow from them. */
  readonly queries: readonly string[]
}

/** A page that an earlier page led to. */
const FURTHER_PAGE = /\/query\/\w+-\d+/

async function main(): Promise<InventoryRound> {
  const queries: string[] = []
  // Some thousand texts of the length of a URL: nothing beside what is measured.
  const watch = (http: Http): Http => ({
    ...http,
    send: (request) => {
      const url = String(request.url)
      if (request.method === 'GET' && !FURTHER_PAGE.test(url)) queries.push(url)
      return http.send(request)
    },
  })
  await using client = await openClient(watch)
  const { store, session } = client
  const provider = 'salesforce'
  const { inventories } = store
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  const inventory = await takeInventory({ tenant: TENANT, provider, session, inventories })
  const seconds = (performance.now() - startedAt) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return {
    tokens: inventory.tokens,
    complete: inventory.state === 'complete',
    seconds,
    peakMb: peakMb(),
    cpuSeconds: (user + system) / 1e6,
    queries,
  }
}

/** @see https://man7.org/linux/man-pages/man5/proc_pid_status.5.html VmHWM */
function peakMb(): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS / 1024
  const status = readFileSync('/proc/self/status', 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024
}

// As the command line does before anything else.
keepHeapSmall()
console.log(JSON.stringify(await main()))
