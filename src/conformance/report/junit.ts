import { escapeHtml } from '../../core/html.ts'
import { type CaseResult, type ConformanceReport, isUndecidedMust } from '../conformance.ts'
import { byGroup, citesOf, LEVEL_WORDS, wordsOf } from './words.ts'

/**
 * Writes a report as JUnit XML, which build servers read: a suite a group, a test a case. A failure of
 * a must is a failure, and where the run is strict that of a should too, and a must that could not be
 * decided is an error; others are in the output of the test.
 */
export function renderConformanceJunit(report: ConformanceReport, strict: boolean): string {
  const suites = byGroup(report).map(([group, results]) => suite(group, results, strict))
  const issuer = report.target.issuer ?? report.target.revocation ?? ''
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="${xml(`rescind conformance ${issuer}`)}">
${suites.join('\n')}
</testsuites>
`
}

function suite(group: string, results: readonly CaseResult[], strict: boolean): string {
  const counts = {
    tests: results.length,
    failures: results.filter((result) => isFailure(result, strict)).length,
    errors: results.filter((result) => isError(result, strict)).length,
    skipped: results.filter(({ verdict }) => verdict === 'skipped').length,
  }
  const attributes = Object.entries(counts).map(([name, count]) => `${name}="${count}"`)
  return `<testsuite name="${xml(group)}" ${attributes.join(' ')}>
${results.map((result) => testCase(result, strict)).join('\n')}
</testsuite>`
}

function testCase(result: CaseResult, strict: boolean): string {
  const name = `${result.id} ${result.title} (${LEVEL_WORDS[result.level]}, ${citesOf(result)})`
  return `<testcase classname="${xml(result.group)}" name="${xml(name)}">${outcome(result, strict)}</testcase>`
}

function outcome(result: CaseResult, strict: boolean): string {
  const words = xml(wordsOf(result))
  const shown = result.evidence.map(({ request, answer }) => `${request}\n\n${answer}`).join('\n\n')
  switch (result.verdict) {
    case 'pass':
      return ''
    case 'skipped':
      return `<skipped message="${words}"/>`
    case 'inconclusive':
      return isError(result, strict)
        ? `<error message="${words}">${xml(shown)}</error>`
        : `<skipped message="${words}"/>`
    case 'deviation':
      return `<system-out>${words}</system-out>`
    case 'fail':
      return isFailure(result, strict)
        ? `<failure message="${words}">${xml(shown)}</failure>`
        : `<system-out>${words}\n\n${xml(shown)}</system-out>`
  }
}

function isFailure({ verdict, level }: CaseResult, strict: boolean): boolean {
  return verdict === 'fail' && (level === 'must' || (strict && level === 'should'))
}

function isError(result: CaseResult, strict: boolean): boolean {
  return strict && isUndecidedMust(result)
}

/** XML 1.0 has no place for most controls, not even escaped. */
function xml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return escapeHtml(text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '?'))
}
