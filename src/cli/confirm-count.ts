import { isCancel, text } from '@clack/prompts'
import { RescindError } from '../core/errors.ts'
import type { Context } from './context.ts'

/**
 * Asks for a confirmation that is bound to the count of grants; what destroys takes one.
 *
 * @param sentence what would happen, with the count
 * @param given the count of `--confirm`, instead of asking
 * @throws RescindError `confirmation_missing`, `confirmation_wrong`
 */
export async function confirmCount(
  { io, output }: Pick<Context, 'io' | 'output'>,
  {
    sentence,
    grants,
    given,
  }: { readonly sentence: string; readonly grants: number; readonly given: number | undefined },
): Promise<void> {
  let count = given
  if (count === undefined) {
    if (!io.stdin.isTTY || output.json) {
      throw new RescindError(
        'confirmation_missing',
        `${sentence} Confirm with: --confirm ${grants}`,
      )
    }
    const message = `${sentence} Type the count of grants to go on:`
    const typed = await text({ message, input: io.stdin, output: io.stderr, signal: io.signal })
    if (isCancel(typed)) {
      throw new RescindError('confirmation_missing', 'Not confirmed. Nothing was revoked.')
    }
    const digits = String(typed).replace(/[\s,.'’_]/g, '')
    count = /^\d+$/.test(digits) ? Number(digits) : Number.NaN
  }
  if (count === grants) return
  throw new RescindError(
    'confirmation_wrong',
    `${sentence} That is not the count that was confirmed. Nothing was revoked.`,
  )
}
