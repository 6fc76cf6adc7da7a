import { type OpenConnectorsClient, refusalText } from './client.ts'
import { type Instance, tokensOf } from './instance.ts'

/** Each is a request; an account has tens of instances, rarely hundreds. */
const READ_MAX = 500

/** What nobody could look at: it may hold any grant. */
export interface Unseen {
  /** Which, and why, in a sentence. */
  readonly unseen: string
}

/**
 * Yields the other instances of an account with their tokens, of whatever element, disabled or not. One whose
 * tokens the list does not show is read. One that cannot be read is unseen, and so is all that follows 500 reads.
 */
export async function* otherInstances(
  own: number,
  {
    client,
    signal,
  }: { readonly client: OpenConnectorsClient; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Instance | Unseen> {
  let reads = 0
  for await (const listed of client.list(signal)) {
    if (listed.id === own) continue
    if (tokensOf(listed).refresh !== null) {
      yield listed
      continue
    }
    reads += 1
    if (reads > READ_MAX) return yield TOO_MANY
    const answer = await client.get(listed.id, signal)
    yield answer.ok
      ? answer.value
      : { unseen: refusalText(answer.failure, `show instance ${listed.id}`) }
  }
}

const TOO_MANY: Unseen = {
  unseen: `The account has more than ${READ_MAX} instances whose tokens its list does not show.`,
}
