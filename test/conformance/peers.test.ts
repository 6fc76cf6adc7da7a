import { describe, expect, test } from 'vitest'
import { runConformance } from '../../src/conformance/conformance.ts'
import { GROUPS } from '../../src/conformance/table.ts'
import { startBetterAuthPeer } from './peers/better-auth.ts'
import { startJmondiPeer } from './peers/jmondi.ts'
import { startOidcPeer } from './peers/oidc-provider.ts'
import type { Peer } from './peers/peer.ts'

/** Times on a machine that runs other tests say nothing of the server. */
const TIMED = [211, 212]
const CASES = GROUPS.flatMap(({ cases }) => cases.map(({ id }) => id)).filter(
  (id) => !TIMED.includes(id),
)

async function run(peer: Peer, only: readonly number[] = CASES) {
  try {
    return await runConformance({ config: peer.config, races: 5, settleMs: 100, only })
  } finally {
    await peer.close()
  }
}

const failed = (report: Awaited<ReturnType<typeof run>>) =>
  report.results
    .filter(({ verdict }) => verdict === 'fail')
    .map(({ id }) => id)
    .sort((a, b) => a - b)

describe('what the suite finds on servers that others wrote', () => {
  test('oidc-provider: cache headers, an oracle, and JWTs at introspection', async () => {
    const report = await run(await startOidcPeer())
    expect(failed(report)).toEqual([22, 70, 117])
    expect(report.totals.inconclusive).toBe(0)
  })

  test('oidc-provider on a store that takes 4 ms: several children, codes and assertions used twice', async () => {
    const peer = await startOidcPeer({ slowMs: 4 })
    expect(failed(await run(peer, [61, 99, 100, 201]))).toEqual([61, 99, 201])
  })

  test('@jmondi/oauth2-server: what is wrong with a request is answered with 200', async () => {
    const report = await run(await startJmondiPeer())
    expect(failed(report)).toEqual([
      2, 5, 7, 8, 9, 10, 11, 12, 13, 14, 22, 25, 26, 27, 29, 46, 48, 49, 51, 52, 53, 55, 56, 59, 67,
      90, 93, 97, 119, 120, 122, 123, 205, 206, 215, 216,
    ])
  })

  test('@jmondi/oauth2-server: a store that fails is answered with 200', async () => {
    const peer = await startJmondiPeer({ brokenStore: true })
    expect(failed(await run(peer, [1, 38]))).toEqual([1, 38])
  })

  test('better-auth: wrong hints, unknown tokens, and a repeated revocation', async () => {
    const report = await run(await startBetterAuthPeer())
    expect(failed(report)).toEqual([
      12, 22, 24, 25, 30, 31, 34, 39, 40, 70, 75, 94, 97, 101, 117, 119, 123, 202, 205,
    ])
  })
})
