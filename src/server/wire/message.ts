export type { Handle, WireAnswer, WireRequest } from '../../core/wire.ts'
