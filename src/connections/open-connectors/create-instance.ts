import type { Callback, ReconnectLink } from '../drill/platform.ts'
import { type OpenConnectorsClient, orThrow } from './client.ts'
import { codeIn } from './consent.ts'
import type { Instance } from './instance.ts'
import { confirmAlive, linkFor, linkText } from './reauthorize.ts'
import { appOf } from './requests.ts'

/** What making an instance comes by, in its order. */
export type CreateStep = 'link' | 'consent' | 'instance' | 'alive'

export interface CreateWish {
  readonly element: string
  readonly name: string
  readonly tags: readonly string[]
  /** Brings the owner to the link, and what came back from there. */
  consent(link: ReconnectLink): Promise<Callback>
  /** Is told of each step, in words without secrets. */
  step(name: CreateStep, text: string): void
}

export interface CreateMeans {
  readonly client: OpenConnectorsClient
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes an instance by its owner's consent, and shows that it works: OAuth URL, code, `POST /instances`.
 *
 * @throws RescindError `config_invalid`, `reconnect_refused`, `reconnect_failed`, and what the calls throw
 * @see https://help.openconnectors.ext.hana.ondemand.com/home/authenticate-instance-api
 */
export async function createInstance(
  { element, name, tags, consent, step }: CreateWish,
  { client, signal }: CreateMeans,
): Promise<Instance> {
  appOf(client.settings, element)
  const link = await linkFor(client, element, signal)
  step('link', linkText(link))
  const code = codeIn(await consent(link), link.state, client.settings.switches)
  step('consent', 'a code came, with our state')
  const { id } = orThrow(
    await client.create({ element, name, tags, code }, signal),
    'make an instance',
  )
  step('instance', `${id} of ${element}, made by POST /instances`)
  // The short answer to a creation leaves much out.
  const made = orThrow(await client.get(id, signal), 'show the instance')
  await confirmAlive(made, { client, signal }, (text) => step('alive', text))
  return made
}
