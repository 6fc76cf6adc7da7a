import { describeAuthorityStore } from './contract.ts'
import { SQLITE } from './kinds.ts'

describeAuthorityStore(SQLITE)
