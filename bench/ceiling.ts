import { Pool } from 'undici'
import type { OrgProcess } from '../emulators/salesforce/spawn.ts'

/** What a client that does nothing with its pages needs for them. */
export interface Ceiling {
  readonly pages: number
  readonly seconds: number
}

/**
 * Fetches the pages that an inventory fetched, back to back and as many at once, and throws them
 * away: what the emulator and the latency allow at best.
 *
 * @param queries the addresses that it read; their further pages are followed
 */
export async function fetchAndDiscard(
  org: OrgProcess,
  queries: readonly string[],
  lanes: number,
): Promise<Ceiling> {
  const pool = new Pool(org.url, { connections: lanes })
  const headers = { authorization: `Bearer ${org.credentials.accessToken}` }
  const left = [...queries]
  let pages = 0
  const lane = async () => {
    for (let path = left.shift(); path !== undefined; ) {
      const { body } = await pool.request({ method: 'GET', path: pathOf(path), headers })
      const next = /"nextRecordsUrl":"([^"]+)"/.exec(await body.text())?.[1]
      pages += 1
      path = next ?? left.shift()
    }
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: lanes }, lane))
  const seconds = (performance.now() - startedAt) / 1000
  await pool.close()
  return { pages, seconds }
}

function pathOf(address: string): string {
  return address.startsWith('/') ? address : address.slice(new URL(address).origin.length)
}
