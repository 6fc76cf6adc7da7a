import { escapeHtml } from './html.ts'

/** One test of a JUnit file. */
export interface JunitCase {
  readonly name: string
  readonly outcome: 'passed' | 'failed' | 'error' | 'skipped'
  /** Why it failed, could not be decided or was skipped: one sentence. */
  readonly message: string
  /** What shows it. */
  readonly output: string
  readonly seconds?: number | undefined
}

export interface JunitSuite {
  readonly name: string
  readonly cases: readonly JunitCase[]
}

/** Writes JUnit XML, which build servers read. */
export function renderJunit(name: string, suites: readonly JunitSuite[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="${xml(name)}">
${suites.map(renderSuite).join('\n')}
</testsuites>
`
}

function renderSuite({ name, cases }: JunitSuite): string {
  const count = (outcome: JunitCase['outcome']) =>
    cases.filter((one) => one.outcome === outcome).length
  return `<testsuite name="${xml(name)}" tests="${cases.length}" failures="${count('failed')}" errors="${count('error')}" skipped="${count('skipped')}">
${cases.map((one) => renderCase(name, one)).join('\n')}
</testsuite>`
}

function renderCase(suite: string, one: JunitCase): string {
  const time = one.seconds === undefined ? '' : ` time="${one.seconds.toFixed(3)}"`
  return `<testcase classname="${xml(suite)}" name="${xml(one.name)}"${time}>${renderOutcome(one)}</testcase>`
}

function renderOutcome({ outcome, message, output }: JunitCase): string {
  switch (outcome) {
    case 'skipped':
      return `<skipped message="${xml(message)}"/>`
    case 'failed':
      return `<failure message="${xml(message)}">${xml(output)}</failure>`
    case 'error':
      return `<error message="${xml(message)}">${xml(output)}</error>`
    case 'passed':
      return output === '' ? '' : `<system-out>${xml(output)}</system-out>`
  }
}

/** XML 1.0 has no place for most controls, not even escaped. */
function xml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return escapeHtml(text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '?'))
}
