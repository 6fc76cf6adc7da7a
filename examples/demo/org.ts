import type { Fault, SalesforceOptions } from '../../emulators/index.ts'

/** Of every hundred calls, two go wrong, each in another way. */
const FAULTS: readonly Fault[] = [
  { kind: 'bad_id_404', on: 'revoke', probability: 0.004 },
  { kind: 'error_500_after_effect', on: 'revoke', probability: 0.004 },
  { kind: 'reset_before_effect', on: 'revoke', probability: 0.004 },
  { kind: 'reset_after_effect', on: 'revoke', probability: 0.004 },
  { kind: 'ok_without_effect', on: 'revoke', probability: 0.0036 },
  { kind: 'too_many_429', on: 'revoke', probability: 0.0004 },
  { kind: 'error_500_before_effect', on: 'query', probability: 0.01 },
  { kind: 'reset_before_effect', on: 'query', probability: 0.01 },
  // Two people click "Allow" again as soon as their token is gone.
  { kind: 'reauthorise', on: 'revoke', nth: [800, 1_600], ms: 1_500 },
]

/** The org of the demo. Its seed makes it the same each time. */
export const DEMO_ORG: SalesforceOptions = {
  seed: 8,
  size: { users: 900, apps: 40, tokens: 12_000 },
  latencyMs: 20,
  faults: FAULTS,
}
