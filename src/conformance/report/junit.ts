import { type JunitCase, renderJunit } from '../../core/junit.ts'
import { type CaseResult, type ConformanceReport, isUndecidedMust } from '../conformance.ts'
import { byGroup, citesOf, LEVEL_WORDS, wordsOf } from './words.ts'

/**
 * Writes a report as JUnit XML, which build servers read: a suite a group, a test a case. A failure of
 * a must is a failure, and where the run is strict that of a should too, and a must that could not be
 * decided is an error; others are in the output of the test.
 */
export function renderConformanceJunit(report: ConformanceReport, strict: boolean): string {
  const issuer = report.target.issuer ?? report.target.revocation ?? ''
  const suites = byGroup(report).map(([name, results]) => ({
    name,
    cases: results.map((result) => testCase(result, strict)),
  }))
  return renderJunit(`rescind conformance ${issuer}`, suites)
}

function testCase(result: CaseResult, strict: boolean): JunitCase {
  const name = `${result.id} ${result.title} (${LEVEL_WORDS[result.level]}, ${citesOf(result)})`
  const message = wordsOf(result)
  const shown = result.evidence.map(({ request, answer }) => `${request}\n\n${answer}`).join('\n\n')
  switch (result.verdict) {
    case 'pass':
      return { name, outcome: 'passed', message, output: '' }
    case 'skipped':
      return { name, outcome: 'skipped', message, output: '' }
    case 'inconclusive':
      return isError(result, strict)
        ? { name, outcome: 'error', message, output: shown }
        : { name, outcome: 'skipped', message, output: '' }
    case 'deviation':
      return { name, outcome: 'passed', message, output: message }
    case 'fail':
      return isFailure(result, strict)
        ? { name, outcome: 'failed', message, output: shown }
        : { name, outcome: 'passed', message, output: `${message}\n\n${shown}` }
  }
}

function isFailure({ verdict, level }: CaseResult, strict: boolean): boolean {
  return verdict === 'fail' && (level === 'must' || (strict && level === 'should'))
}

function isError(result: CaseResult, strict: boolean): boolean {
  return strict && isUndecidedMust(result)
}
