import type { CaseGroup } from './case.ts'
import { ASSERTIONS } from './cases/assertions.ts'
import { BROWSER } from './cases/browser.ts'
import { CASCADE } from './cases/cascade.ts'
import { CLIENT_AUTHENTICATION } from './cases/client-authentication.ts'
import { CONCURRENCY } from './cases/concurrency.ts'
import { FORMAT } from './cases/format.ts'
import { INTROSPECTION } from './cases/introspection.ts'
import { OUTSIDE } from './cases/outside.ts'
import { OWNERSHIP } from './cases/ownership.ts'
import { ROBUSTNESS } from './cases/robustness.ts'
import { ROTATION } from './cases/rotation.ts'
import { TOKENS } from './cases/tokens.ts'

/** All cases, in the order in which they run and are shown. */
export const GROUPS: readonly CaseGroup[] = [
  FORMAT,
  TOKENS,
  CLIENT_AUTHENTICATION,
  ASSERTIONS,
  OWNERSHIP,
  CASCADE,
  ROTATION,
  CONCURRENCY,
  INTROSPECTION,
  BROWSER,
  ROBUSTNESS,
  OUTSIDE,
]
