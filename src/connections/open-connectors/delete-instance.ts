import { isRescindError, RescindError } from '../../core/errors.ts'
import { heard } from './apply-code.ts'
import { type OpenConnectorsClient, orThrow } from './client.ts'

/**
 * Deletes an instance, and looks whether it is gone: a 2xx alone is no proof of it, and an answer that was
 * lost no failure.
 *
 * @throws RescindError `answer_invalid` where it is not gone, or nobody says so, and what the calls throw
 */
export async function deleteInstance(
  id: number,
  client: OpenConnectorsClient,
  signal?: AbortSignal,
): Promise<void> {
  const answer = await heard(() => client.delete(id, signal))
  const isOpen = answer === 'lost' || (!answer.ok && answer.failure.status >= 500)
  if (answer !== 'lost' && !isOpen) orThrow(answer, 'delete the instance')
  const after = await client.get(id, signal).catch((error: unknown) => {
    if (isRescindError(error)) return undefined
    throw error
  })
  if (after?.ok === false && after.failure.status === 404) return
  const said = isOpen ? 'did not say whether it deleted' : 'said yes'
  const shows = after?.ok ? 'still shows' : 'does not say that it is without'
  throw new RescindError(
    'answer_invalid',
    `Open Connectors ${said}, and ${shows} instance ${id}. Look with rescind open-connectors list, and run this again where it is there.`,
  )
}
