import type { CaseGroup } from './case.ts'
import { FORMAT } from './cases/format.ts'

/** All cases, in the order in which they run and are shown. */
export const GROUPS: readonly CaseGroup[] = [FORMAT]
