import { control, readLines, startChild } from '../child.ts'
import type { Email } from './account.ts'
import type { Fault } from './faults.ts'
import type { OpenConnectorsOptions, OpenConnectorsSwitches } from './options.ts'
import type { ProviderCall } from './provider.ts'
import type { Night } from './refresh.ts'
import type { AccountCredentials } from './start.ts'
import type { InstanceTruth } from './truth.ts'

/** An account in a process of its own, told and asked over its control plane. */
export interface AccountProcess {
  readonly url: string
  readonly apiUrl: string
  /** As they were at the start. */
  readonly credentials: AccountCredentials
  /** Resolves when the process has ended, whatever ended it. */
  readonly ended: Promise<void>
  /** Streams the ground truth. Holds secrets. */
  instances(): AsyncIterable<InstanceTruth>
  emails(): Promise<readonly Email[]>
  providerCalls(): Promise<readonly ProviderCall[]>
  setFaults(faults: readonly Fault[]): Promise<void>
  setSwitches(switches: Partial<OpenConnectorsSwitches>): Promise<void>
  runNight(): Promise<Night>
  close(): void
}

/**
 * Starts an account in a process of its own; see {@link startChild}. A clock cannot go with it.
 *
 * @throws Error when it does not start; its own message is on standard error
 */
export async function spawnOpenConnectors(
  options: Omit<OpenConnectorsOptions, 'clock'>,
): Promise<AccountProcess> {
  const { hello, ended, close } = await startChild<
    Pick<AccountProcess, 'url' | 'apiUrl' | 'credentials'>
  >('open-connectors', options)
  const { url } = hello
  const ask = async <T>(name: string, value?: unknown): Promise<T> =>
    (await control(url, name, value)).json() as Promise<T>
  return {
    ...hello,
    ended,
    instances: () => readLines<InstanceTruth>(control(url, 'truth')),
    emails: async () => (await ask<{ emails: Email[] }>('emails')).emails,
    providerCalls: async () => (await ask<{ calls: ProviderCall[] }>('provider')).calls,
    setFaults: async (faults) => void (await ask('faults', faults)),
    setSwitches: async (switches) => void (await ask('switches', switches)),
    runNight: () => ask<Night>('night', {}),
    close,
  }
}
