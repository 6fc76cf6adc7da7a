import { isRescindError, RescindError } from '../../core/errors.ts'
import { mayHaveHadEffect } from '../../core/http.ts'
import { type Budget, countText, evictsOldest } from '../budget.ts'
import type { Callback, ReconnectLink } from '../drill/platform.ts'
import type { Answer } from './answer.ts'
import { type BudgetMeans, countGrants } from './budget.ts'
import { orThrow } from './client.ts'
import { codeIn } from './consent.ts'
import { type Instance, identityOf } from './instance.ts'
import { confirmAlive, linkFor, linkText } from './reauthorize.ts'
import { appOf, type NewInstance } from './requests.ts'

/** What making an instance comes by, in its order. */
export type CreateStep = 'link' | 'consent' | 'instance' | 'budget' | 'alive'

export interface CreateWish {
  readonly element: string
  readonly name: string
  readonly tags: readonly string[]
  /** Brings the owner to the link, and what came back from there. */
  consent(link: ReconnectLink): Promise<Callback>
  /** Is told of each step, in words without secrets. */
  step(name: CreateStep, text: string): void
  /** Is told where the new grant has ended another one, or may have. */
  warn?(text: string): void
}

/** An instance that was made, and works. */
export interface Created {
  readonly instance: Instance
  /** With the new grant; null where nobody says how many live. */
  readonly budget: Budget | null
}

/**
 * Makes an instance by its owner's consent, and shows that it works: OAuth URL, code, `POST /instances`.
 *
 * @throws RescindError `config_invalid`, `not_authenticated`, `reconnect_refused`, `reconnect_failed`, and
 * what the calls throw; where an instance may have been made, the message says so
 * @see https://help.openconnectors.ext.hana.ondemand.com/home/authenticate-instance-api
 */
export async function createInstance(wish: CreateWish, means: BudgetMeans): Promise<Created> {
  const { element, name, tags, consent, step } = wish
  const { client, signal } = means
  appOf(client.settings, element)
  // A consent URL is given to anybody: who is not let in hears it before the owner is asked.
  orThrow(await client.control(signal), 'let us in', 'url')
  const link = await linkFor(client, element, signal)
  step('link', linkText(link))
  const code = codeIn(await consent(link), link.state, client.settings.switches)
  step('consent', 'a code came')
  const { id } = await post({ element, name, tags, code }, means)
  step('instance', `${id} of ${element}, made by POST /instances`)
  const instance = await show(id, means)
  const budget = await count(instance, wish, means)
  await confirmAlive(instance, means, (text) => step('alive', text))
  return { instance, budget }
}

/** A lost answer, a 2xx that shows no instance, and a 5xx leave open whether there is one now. */
async function post(wish: NewInstance, { client, signal }: BudgetMeans): Promise<Instance> {
  const answer = await client.create(wish, signal).catch((error: unknown) => {
    if (!mayHaveHadEffect(error) && !isRescindError(error, 'answer_invalid')) throw error
    throw mayBeMade(error, wish)
  })
  if (!answer.ok && answer.failure.status >= 500) {
    const { status, message, providerMessage } = answer.failure
    const said = `Open Connectors answered ${status}, ${providerMessage ?? message}.`
    throw mayBeMade(new RescindError('provider_busy', said), wish)
  }
  refuseOurClient(answer, wish)
  return orThrow(answer, 'make an instance')
}

function mayBeMade(cause: RescindError, { name }: NewInstance): RescindError {
  const look = `The instance "${name}" may have been made: look with rescind open-connectors list before you run this again, for that makes a second one and takes one more token of its owner.`
  return new RescindError(cause.code, `${cause.message} ${look}`, { cause })
}

/** The short answer to a creation leaves much out. */
async function show(id: number, { client, signal }: BudgetMeans): Promise<Instance> {
  try {
    return orThrow(await client.get(id, signal), 'show the instance')
  } catch (error) {
    if (!isRescindError(error)) throw error
    const look = `Instance ${id} is made: look with rescind open-connectors list before you run this again.`
    throw new RescindError(error.code, `${error.message} ${look}`, { cause: error })
  }
}

/** The code is redeemed with the app's own credential: a wrong one is found out here. */
function refuseOurClient(answer: Answer<Instance>, { element }: NewInstance): void {
  if (answer.ok) return
  const { status, message, providerMessage } = answer.failure
  const words = providerMessage ?? message
  if (!/invalid[_ ]client/i.test(words)) return
  throw new RescindError(
    'not_authenticated',
    `Open Connectors would not make an instance: ${status}, ${words}. Check apiKey and apiSecret under openConnectors.elements.${element} in rescind.yaml.`,
  )
}

/** Whose the grant is shows itself only now: nobody could be warned before. */
async function count(
  instance: Instance,
  { step, warn }: CreateWish,
  means: BudgetMeans,
): Promise<Budget | null> {
  const owner = identityOf(instance)
  const budget = await countGrants(instance, owner, true, means).catch((error: unknown) => {
    // A count that cannot be had warns of nothing.
    if (isRescindError(error)) return null
    throw error
  })
  step('budget', budget ? `${countText(budget)} live` : 'not known')
  if (budget && evictsOldest(budget) !== false) warn?.(evictedText(budget))
  return budget
}

/** A provider that counts has ended the oldest already: five of five may have been six. */
function evictedText(budget: Budget): string {
  const { live, max, complete } = budget
  if (live > max) {
    return `${live} grants of this user and app are known here, and the provider lets ${max} live: this one has likely ended the oldest. Check the other instances and connections of this user.`
  }
  const many = countText(budget).replace('at', 'At')
  if (live === max) {
    return `${many} tokens of this user and app live: this one may have ended the oldest, and one more does.`
  }
  const told = complete ? '' : ', and the provider did not count them'
  return `${many} tokens are known here${told}: this one may have ended the oldest.`
}
