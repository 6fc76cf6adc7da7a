import { type JunitCase, renderJunit } from '../../../core/junit.ts'
import type { DrillReport, ReportResult, ReportStep } from './model.ts'

/** Writes a drill as JUnit XML: a suite a drill, a test a step and a fault; the guards and the verdict are tests too. */
export function renderDrillJunit(report: DrillReport): string {
  const { platform, connection, depth, inject } = report
  const what = inject === null ? depth : 'faults'
  const name = `rescind drill ${connection} (${platform}, ${what})`
  const cases = [
    ...guardCases(report),
    ...report.steps.map(stepCase),
    ...report.faults.map(faultCase),
    verdictCase(report),
  ]
  return renderJunit(name, [{ name, cases }])
}

function guardCases({ guards }: DrillReport): readonly JunitCase[] {
  return guards.map(({ name, ok, said }) => ({
    name: `guard: ${name}`,
    outcome: ok ? 'passed' : 'failed',
    message: said,
    output: said,
  }))
}

const OUTCOMES = { pass: 'passed', fail: 'failed', skipped: 'skipped' } as const

function stepCase(step: ReportStep): JunitCase {
  return resultCase(`${step.id} ${step.name}`, step)
}

function faultCase(fault: ReportResult): JunitCase {
  return resultCase(`fault: ${fault.name}`, fault)
}

function resultCase(
  name: string,
  { verdict, why, passOnlyIf, evidence, tookMs }: ReportResult,
): JunitCase {
  const shown = `${why}\nPass only if: ${passOnlyIf}\n${JSON.stringify(evidence, null, 2)}`
  return {
    name,
    outcome: OUTCOMES[verdict],
    message: why,
    output: verdict === 'pass' ? why : shown,
    seconds: tookMs / 1000,
  }
}

function verdictCase({ end }: DrillReport): JunitCase {
  const message = end === null ? 'The drill died before its end.' : (end.stands ?? end.why)
  const outcome = end?.verdict === 'passed' ? 'passed' : 'failed'
  return { name: '16 Verdict', outcome, message, output: message }
}
