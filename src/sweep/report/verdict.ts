import { formatCount, formatCounted } from '../../core/counts.ts'
import type { InventoryFacts, ReportModel } from './model.ts'
import { checkTotals } from './totals.ts'

/** How a report looks at first glance. `good` is kept for a run with nothing left open. */
export type Tone = 'good' | 'open' | 'bad' | 'neutral'

export interface Verdict {
  readonly tone: Tone
  /** A few words: what to think of it. */
  readonly judgement: string
  /** The counts: `11,812 of 11,820 proven dead; 3 alive; 5 unknown`. */
  readonly headline: string
  /** Sentences that limit what the headline says; they belong on the first page. */
  readonly caveats: readonly string[]
}

/** Judges a run in words. Never calls a token dead that is not proven dead. */
export function judgeRun(model: ReportModel): Verdict {
  const caveats = listCaveats(model)
  return { ...judge(model), headline: headline(model), caveats }
}

function headline({ summary }: ReportModel): string {
  if (summary.planned === 0) return 'No token was planned, and none was killed'
  const parts = [`${formatCount(summary.dead)} of ${formatCount(summary.planned)} proven dead`]
  if (summary.alive > 0) parts.push(`${formatCount(summary.alive)} alive`)
  if (summary.unknown > 0) parts.push(`${formatCount(summary.unknown)} unknown`)
  return parts.join('; ')
}

function judge(model: ReportModel): Pick<Verdict, 'tone' | 'judgement'> {
  const { summary } = model
  if (summary.planned === 0) return { tone: 'neutral', judgement: 'Nothing to do' }
  if (summary.state === 'running') return { tone: 'open', judgement: 'Still running' }
  const stopped = summary.state === 'stopped' ? 'Stopped before the end: ' : ''
  if (summary.alive > 0) {
    const verb = summary.alive === 1 ? 'is' : 'are'
    const words = `${formatCounted(summary.alive, 'token')} ${verb} alive`
    return { tone: 'bad', judgement: stopped + words }
  }
  if (summary.unknown > 0) {
    const verb = summary.unknown === 1 ? 'is' : 'are'
    const words = `${formatCounted(summary.unknown, 'token')} ${verb} not proven dead`
    return { tone: 'open', judgement: stopped + words }
  }
  return judgeAllDead(model, stopped)
}

function judgeAllDead(model: ReportModel, stopped: string): Pick<Verdict, 'tone' | 'judgement'> {
  const words = `${stopped}every planned token is proven dead`
  const said = words.charAt(0).toUpperCase() + words.slice(1)
  const { cameBack } = model.summary
  if (cameBack > 0) {
    const back = formatCounted(cameBack, 'new one has', 'new ones have')
    return { tone: 'open', judgement: `${said}, but ${back} appeared` }
  }
  if (!model.before.complete) {
    return { tone: 'open', judgement: `${said}, but the plan saw only a part of the tenant` }
  }
  if (checkTotals(model).some((check) => !check.holds)) {
    return { tone: 'open', judgement: `${said}, but the counts do not add up` }
  }
  return { tone: stopped === '' ? 'good' : 'open', judgement: said }
}

function listCaveats(model: ReportModel): readonly string[] {
  const { summary } = model
  const caveats: string[] = brokenSums(model)
  if (summary.state === 'stopped') {
    caveats.push(`The run stopped before its end${because(summary.why)} It can be resumed.`)
  }
  if (summary.state === 'running') {
    caveats.push('The run is not finished; these are the figures so far.')
  }
  if (!model.before.complete) caveats.push(partialBefore(model.before))
  if (summary.planned > 0) caveats.push(...caveatsOfProof(model))
  if (summary.unsent > 0) {
    caveats.push(
      `${formatCounted(summary.unsent, 'planned kill was', 'planned kills were')} not sent.`,
    )
  }
  if (summary.cameBack > 0) {
    caveats.push(
      `${formatCounted(summary.cameBack, 'new token')} of planned users and apps appeared after the kill.`,
    )
  }
  if (model.undecided > 0) {
    caveats.push(
      `${formatCounted(model.undecided, 'token was', 'tokens were')} left alone because the policy could not decide.`,
    )
  }
  return caveats
}

function brokenSums(model: ReportModel): string[] {
  return checkTotals(model)
    .filter((check) => !check.holds)
    .map(
      (check) =>
        `${check.what} does not add up, so do not rely on this report: ${check.sum} is ${formatCount(check.total)}, not ${formatCount(check.expected)} ${check.of}.`,
    )
}

function because(why: string | null): string {
  return why === null ? '.' : `: ${endSentence(why)}`
}

function partialBefore(before: InventoryFacts): string {
  return (
    'The plan was made on a partial inventory, so tokens may live that this report does not know: ' +
    endSentence(before.why)
  )
}

function caveatsOfProof(model: ReportModel): readonly string[] {
  if (model.after === null) {
    return ['No inventory was taken after the kills, so absence proves nothing here yet.']
  }
  if (!model.after.complete) {
    return [
      `The inventory after the kills is partial, so a token that it lacks is not proven dead by it: ${endSentence(model.after.why)}`,
    ]
  }
  return []
}

/** Makes a text a sentence: a capital at the start, a full stop where it has no end of its own. */
export function sentence(text: string): string {
  const ended = endSentence(text)
  return ended.charAt(0).toUpperCase() + ended.slice(1)
}

/** Ends a text with a full stop where it has no end of its own. */
export function endSentence(text: string): string {
  const trimmed = text.trim()
  return /[.!?…]$/u.test(trimmed) ? trimmed : `${trimmed}.`
}
