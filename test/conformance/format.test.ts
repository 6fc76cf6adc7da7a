import { afterAll, beforeAll, expect, test } from 'vitest'
import { runConformance } from '../../src/conformance/conformance.ts'
import { startOidcPeer } from './peers/oidc-provider.ts'
import type { Peer } from './peers/peer.ts'

let peer: Peer

beforeAll(async () => {
  peer = await startOidcPeer()
})
afterAll(async () => {
  await peer?.close()
})

test('oidc-provider passes the cases of method and format', async () => {
  const report = await runConformance({ config: peer.config, only: [1, 2, 3, 4, 5, 6, 7, 10, 12] })
  expect(report.results.filter(({ verdict }) => verdict === 'fail')).toEqual([])
  expect(report.totals.skipped + report.totals.inconclusive).toBe(0)
})
