import type { DrillContext, DrillRules } from './context.ts'
import type { EvidenceValue } from './evidence.ts'

/** What a judge says of one step. */
export interface Judgement {
  readonly verdict: 'pass' | 'fail' | 'skipped'
  /** One sentence: what shows it, what is wrong, or why it was not done. */
  readonly why: string
}

/** What a step has seen: plain, printable, without secrets. It is the evidence. */
export type Seen = Readonly<Record<string, EvidenceValue>>

/**
 * One step of a drill. Asking and judging are apart: `ask` does the I/O, `judge` is pure and is
 * tested with what was written by hand.
 */
export interface StepOf<What extends object> {
  readonly no: number
  readonly name: string
  /** What is done, in words. */
  readonly act: string
  /** The pass rule, in words. */
  readonly passOnlyIf: string
  ask(context: DrillContext): Promise<What>
  judge(seen: What, rules: DrillRules): Judgement
}

/** A step whose kind of evidence only it knows. */
export interface Step extends Pick<StepOf<object>, 'no' | 'name' | 'act' | 'passOnlyIf'> {
  run(context: DrillContext): Promise<{ readonly seen: Seen; readonly judgement: Judgement }>
}

/** Closes a step over its kind of evidence, so that all stand in one list. */
export function step<What extends object>(one: StepOf<What>): Step {
  const { no, name, act, passOnlyIf } = one
  return {
    ...{ no, name, act, passOnlyIf },
    async run(context) {
      const seen = await one.ask(context)
      return { seen: seen as unknown as Seen, judgement: one.judge(seen, context.rules) }
    },
  }
}

export const pass = (why: string): Judgement => ({ verdict: 'pass', why })
export const fail = (why: string): Judgement => ({ verdict: 'fail', why })
export const skip = (why: string): Judgement => ({ verdict: 'skipped', why })

/** What must not fail, and cannot pass: the first reason makes a pass no more than skipped. */
export function unless(judged: Judgement, reasons: readonly (string | false | null)[]): Judgement {
  const first = reasons.find((one) => typeof one === 'string')
  return judged.verdict === 'pass' && typeof first === 'string' ? skip(first) : judged
}

/** Gives the first complaint as a failure; passes with `why` when there is none. */
export function failFirst(
  complaints: readonly (string | false | null | undefined)[],
  why: string,
): Judgement {
  const first = complaints.find((one) => typeof one === 'string')
  return typeof first === 'string' ? fail(first) : pass(why)
}
