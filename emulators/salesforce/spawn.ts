import { control, readLines, startChild } from '../child.ts'
import type { SalesforceCredentials } from './credentials.ts'
import type { Fault } from './faults.ts'
import type { SalesforceOptions } from './options.ts'
import type { GrantTruth, TruthCounts } from './truth.ts'

/** An org in a process of its own, told and asked over its control plane. */
export interface OrgProcess {
  readonly url: string
  readonly credentials: SalesforceCredentials
  /** Resolves when the process has ended, whatever ended it. */
  readonly ended: Promise<void>
  /** Streams the ground truth. Holds secrets. */
  grants(): AsyncIterable<GrantTruth>
  counts(): Promise<TruthCounts>
  setFaults(faults: readonly Fault[]): Promise<void>
  close(): void
}

/**
 * Starts an org in a process of its own; see {@link startChild}.
 *
 * @throws Error when it does not start; its own message is on standard error
 */
export async function spawnSalesforce(options: SalesforceOptions): Promise<OrgProcess> {
  const { hello, ended, close } = await startChild<Pick<OrgProcess, 'url' | 'credentials'>>(
    'salesforce',
    options,
  )
  const { url, credentials } = hello
  return {
    url,
    credentials,
    ended,
    grants: () => readLines<GrantTruth>(control(url, 'truth')),
    counts: async () => (await control(url, 'counts')).json() as Promise<TruthCounts>,
    setFaults: async (faults) => {
      await control(url, 'faults', faults)
    },
    close,
  }
}
