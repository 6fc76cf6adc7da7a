import type {
  AppTally,
  InventoryFacts,
  LeftForAPerson,
  ReportModel,
  RunSummary,
  UserTally,
} from './model.ts'
import { judgeRun } from './verdict.ts'

/** The JSON object of `rescind report`: the keys of {@link RunSummary} first, then the rest. */
export interface ReportJson extends RunSummary {
  readonly headline: string
  readonly caveats: readonly string[]
  readonly account: ReportModel['account']
  readonly actor: string
  readonly planHash: string
  readonly policy: ReportModel['policy']
  readonly chosen: number
  readonly spared: number
  readonly undecided: number
  readonly untouched: number
  readonly rules: ReportModel['rules']
  readonly kills: ReportModel['kills']
  readonly inventories: {
    readonly before: InventoryFacts
    readonly after: InventoryFacts | null
    readonly secondLook: InventoryFacts | null
  }
  readonly apps: readonly AppTally[]
  readonly users: readonly UserTally[]
  readonly timeline: ReportModel['timeline']
  readonly timeToDeadMs: ReportModel['timeToDeadMs']
  readonly left: readonly LeftForAPerson[]
  readonly events: ReportModel['events']
  readonly version: string
  readonly madeAt: string
}

/** Gives the report as one plain object, without the token lines: those are the CSV's. */
export function renderJson(model: ReportModel): ReportJson {
  const { summary, before, after, secondLook, tokens: _tokens, ...rest } = model
  const { headline, caveats } = judgeRun(model)
  return { ...summary, headline, caveats, ...rest, inventories: { before, after, secondLook } }
}
