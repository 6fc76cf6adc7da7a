import { RescindError } from '../../core/errors.ts'
import type { Injection } from './inject.ts'
import { ACCOUNT_FAULTS } from './injections/account.ts'
import { CONSENT_FAULTS } from './injections/consent.ts'
import { bringBack, type Row } from './injections/row.ts'
import { PROVIDER_FAULTS } from './injections/token-endpoint.ts'
import { VAULT_FAULTS } from './injections/vault.ts'
import { type Seen, skip } from './step.ts'

const ROWS: readonly Row[] = [
  ...PROVIDER_FAULTS,
  ...VAULT_FAULTS,
  ...CONSENT_FAULTS,
  ...ACCOUNT_FAULTS,
]

export const INJECTION_NAMES: readonly string[] = ROWS.map(({ name }) => name)

/**
 * Finds injections by name, each once; `all` is all of them.
 *
 * @throws RescindError `usage` for an unknown name
 */
export function injectionsOf(names: readonly string[]): readonly Injection[] {
  if (names.includes('all')) return ROWS.map(injection)
  return [...new Set(names)].map((name) => {
    const row = ROWS.find((one) => one.name === name)
    if (row !== undefined) return injection(row)
    throw new RescindError(
      'usage',
      `There is no fault "${name}". Known: all, ${INJECTION_NAMES.join(', ')}.`,
    )
  })
}

function injection(row: Row): Injection {
  const { name, how, mustEnd, only, leaves = () => 0 } = row
  return {
    ...{ name, how, mustEnd, leaves },
    async run(context) {
      const { lab } = context
      if (lab === null)
        throw new RescindError('drill_refused', 'Faults take emulators: use --mode simulated.')
      if (only && lab[only.where] === null) return { seen: {}, judgement: skip(only.why) }
      try {
        const { seen, judgement } = await row.run(context, lab)
        return { seen: seen as Seen, judgement }
      } finally {
        await bringBack(context, lab)
      }
    },
  }
}
