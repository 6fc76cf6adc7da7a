import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { NewmanRunSummary } from 'newman'
import { describe, expect, test } from 'vitest'
import type { SalesforceOrg } from '../../../emulators/index.ts'
import { startOrg } from '../salesforce/org-fixture.ts'

const newman = createRequire(import.meta.url)('newman') as typeof import('newman')
const FILE = fileURLToPath(
  new URL('../../../docs/rescind.postman_collection.json', import.meta.url),
)

/** Runs the folder "Salesforce" of the published collection, with one access token of the org. */
async function runFolder(org: SalesforceOrg, token: string) {
  const variables = { baseUrl: org.url, token }
  const summary = await new Promise<NewmanRunSummary>((resolve, reject) => {
    newman.run(
      {
        collection: JSON.parse(readFileSync(FILE, 'utf8')),
        folder: 'Salesforce',
        envVar: Object.entries(variables).map(([key, value]) => ({ key, value })),
      },
      (error, done) => (error ? reject(error) : resolve(done)),
    )
  })
  const { stats, failures } = summary.run
  return {
    requests: stats.requests.total,
    assertions: stats.assertions.total,
    failures: failures.map(({ error }) => error.test ?? error.message),
  }
}

describe('newman runs the folder Salesforce of docs/rescind.postman_collection.json', () => {
  test('alive, revoked, an error the second time, dead', async () => {
    const org = await startOrg()
    const { accessToken, ownDeleteToken } = org.credentials
    const done = await runFolder(org, accessToken)
    expect(done).toEqual({ requests: 4, assertions: 6, failures: [] })
    expect(org.truth.sessions().find(({ token }) => token === accessToken)?.alive).toBe(false)
    expect(org.truth.isAlive(ownDeleteToken)).toBe(true)
  })

  test('a revoke without effect does not pass', async () => {
    const org = await startOrg({ faults: [{ kind: 'ok_without_effect', on: 'revoke' }] })
    const done = await runFolder(org, org.credentials.accessToken)
    expect(done.failures).toEqual([
      'the answer is 400',
      'the error is form-encoded',
      'the answer is 401 or 403',
    ])
  })
})
