import type { CaseGroup } from './case.ts'
import { ASSERTIONS } from './cases/assertions.ts'
import { CLIENT_AUTHENTICATION } from './cases/client-authentication.ts'
import { FORMAT } from './cases/format.ts'
import { OWNERSHIP } from './cases/ownership.ts'
import { TOKENS } from './cases/tokens.ts'

/** All cases, in the order in which they run and are shown. */
export const GROUPS: readonly CaseGroup[] = [
  FORMAT,
  TOKENS,
  CLIENT_AUTHENTICATION,
  ASSERTIONS,
  OWNERSHIP,
]
