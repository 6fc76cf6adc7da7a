import { RescindError } from '../../../core/errors.ts'
import { Secret } from '../../../core/secret.ts'
import type { Callback, ReconnectLink } from '../platform.ts'

export type Decision = 'allow' | 'deny'

/** How the owner's consent is got: a browser, its forms without a browser, or a person with a link. */
export interface Consent {
  readonly how: 'browser' | 'form' | 'link'
  /** Whether it can also be walked to a denial: a person is not asked to click twice. */
  readonly canDeny: boolean
  /**
   * Goes from the link to the callback.
   *
   * @param again why, where it is not the first time; a person is told
   * @throws RescindError `consent_failed` when it leads nowhere, `nobody_consented` when a person does not come
   */
  visit(
    link: ReconnectLink,
    decision: Decision,
    signal?: AbortSignal,
    again?: string,
  ): Promise<ConsentVisit>
  close(): Promise<void>
}

export interface ConsentVisit {
  /** What came to the callback; null where another process has the callback and applied it. */
  readonly callback: Callback | null
  /** Pages and redirects on the way. */
  readonly pages: number
  /** SHA-256 of the picture of the last page before the answer, where there is one. */
  readonly screenshot: string | null
}

/** The test user's way through a login: inputs by name, and the buttons of its decision. */
export interface ConsentFields {
  readonly fields: Readonly<Record<string, string>>
  /** `name=value` of the buttons; told by their words otherwise. */
  readonly allow?: string | undefined
  readonly deny?: string | undefined
  /** What to do where it leads nowhere, in the words of who asked for it; a drill's unless told. */
  readonly advice?: string | undefined
}

/** Reads what came to a callback address. */
export function readCallback(url: URL): Callback {
  const code = url.searchParams.get('code')
  return {
    code: code === null || code === '' ? null : new Secret(code),
    state: url.searchParams.get('state'),
    error: url.searchParams.get('error'),
    iss: url.searchParams.get('iss'),
  }
}

const ALLOW_WORDS = /\b(allow|approve|authori[sz]e|accept|agree|grant|yes)\b/i
const DENY_WORDS = /\b(deny|decline|reject|refuse|cancel|no)\b/i

export interface PageButton {
  readonly name: string
  readonly value: string
  readonly label: string
}

/**
 * Chooses the button of a decision; undefined where the page has none, and is a login as a rule.
 *
 * @throws RescindError `consent_failed` where there is only a button to allow, and the consent is to be denied
 */
export function chooseButton<Button extends PageButton>(
  buttons: readonly Button[],
  decision: Decision,
  { allow, deny }: Pick<ConsentFields, 'allow' | 'deny'>,
): Button | undefined {
  const named = decision === 'allow' ? allow : deny
  const exact = buttons.find(({ name, value }) => `${name}=${value}` === named)
  if (exact !== undefined) return exact
  const words = decision === 'allow' ? ALLOW_WORDS : DENY_WORDS
  const has = (some: RegExp) => (one: PageButton) => some.test(one.label) || some.test(one.value)
  const found = buttons.find(has(words))
  if (found === undefined && decision === 'deny' && buttons.some(has(ALLOW_WORDS))) {
    throw new RescindError(
      'consent_failed',
      'The consent page has a button to allow and none to deny: nothing was pressed. Name it as NAME=VALUE in drill.consent.deny.',
    )
  }
  return found
}
