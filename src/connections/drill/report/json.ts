import type { DrillReport } from './model.ts'

/** Writes a drill's report as one JSON object. */
export function renderDrillJson(report: DrillReport): string {
  return `${JSON.stringify(report, null, 2)}\n`
}
