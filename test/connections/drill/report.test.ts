import pc from 'picocolors'
import { describe, expect, test } from 'vitest'
import { injectionsOf } from '../../../src/connections/drill/injections.ts'
import { renderDrillHtml } from '../../../src/connections/drill/report/html.ts'
import { renderDrillJson } from '../../../src/connections/drill/report/json.ts'
import { renderDrillJunit } from '../../../src/connections/drill/report/junit.ts'
import {
  type DrillReport,
  headlineOf,
  readReport,
} from '../../../src/connections/drill/report/model.ts'
import { renderDrillEnd, renderRecord } from '../../../src/connections/drill/report/terminal.ts'
import { fail, pass } from '../../../src/connections/drill/step.ts'
import { type Drilled, drill, openVaultWorld } from './world.ts'

const TERMINAL = { columns: 200, color: pc.createColors(false) }

/** Faults that end as it is told here, whatever happens. */
function judged(verdicts: Readonly<Record<string, 'pass' | 'fail'>>) {
  return injectionsOf(Object.keys(verdicts)).map((one) => ({
    ...one,
    run: async () => {
      const judgement = verdicts[one.name] === 'pass' ? pass('Seen well.') : fail('Seen to fail.')
      return { seen: {}, judgement }
    },
  }))
}

async function drilledWith(verdicts: Parameters<typeof judged>[0]): Promise<Drilled> {
  const world = await openVaultWorld()
  const more = { injections: judged(verdicts) }
  return drill(world, { depth: 'refresh', platform: world.platform, more })
}

describe.concurrent('faults are reported by their own names, apart from the steps', () => {
  const said = async () => {
    const drilled = await drilledWith({
      'provider-5xx': 'pass',
      'receiver-down': 'fail',
      'clock-skew': 'fail',
    })
    return { drilled, report: readReport(drilled.records) }
  }

  test('no step has failed, and the end names the faults', async () => {
    const { drilled } = await said()
    expect(drilled).toMatchObject({
      ...{ verdict: 'failed', failedAt: null },
      failedFaults: ['receiver-down', 'clock-skew'],
    })
    expect(drilled.records.at(-1)).toMatchObject({
      failedFaults: ['receiver-down', 'clock-skew'],
      why: '2 faults failed: receiver-down, clock-skew.',
    })
  })

  const ROWS: readonly (readonly [string, (of: Awaited<ReturnType<typeof said>>) => void])[] = [
    [
      'the headline has each once',
      ({ report }) =>
        expect(headlineOf(report)).toBe(
          'Drill of injected faults: failed at the faults receiver-down, clock-skew',
        ),
    ],
    [
      'the terminal',
      ({ drilled, report }) => {
        const lines = drilled.records.map((one) => renderRecord(one, TERMINAL) ?? '')
        expect(lines).toContain('  ✗ fault  receiver-down: Seen to fail.')
        expect(lines.at(-1)).toBe('  ✗ 16  Verdict: 2 faults failed: receiver-down, clock-skew.')
        expect(renderDrillEnd(report, TERMINAL)).not.toMatch(/step/i)
      },
    ],
    [
      'JSON',
      ({ report }) => {
        const json = JSON.parse(renderDrillJson(report)) as DrillReport
        expect(json.steps.map(({ id }) => id)).toEqual(['0', '1', '2', '15'])
        expect(json.faults.map(({ name, verdict }) => [name, verdict])).toEqual([
          ['provider-5xx', 'pass'],
          ['receiver-down', 'fail'],
          ['clock-skew', 'fail'],
        ])
      },
    ],
    [
      'HTML',
      ({ report }) => {
        const page = renderDrillHtml(report)
        const [steps = '', faults = ''] = page
          .split('<section id="steps">')[1]!
          .split('id="faults">')
        const rows = steps.split('<th scope="row">').slice(1)
        const verdicts = rows.map((row) =>
          [/^\w+/, /(?<=is-)\w+/].map((part) => part.exec(row)?.[0]),
        )
        expect(verdicts).toEqual([
          ...['0', '1', '2', '15'].map((id) => [id, 'pass']),
          ['16', 'fail'],
        ])
        expect(faults).toMatch(/<th scope="row">receiver-down<\/th><td>Seen to fail\./)
        expect(page).toMatch(/aria-label="4 steps and 3 faults over/)
      },
    ],
    [
      'JUnit',
      ({ report }) => {
        const failed = [...renderDrillJunit(report).matchAll(/ name="([^"]*)"[^>]*><failure/g)]
        expect(failed.map(([, name]) => name)).toEqual([
          ...['fault: receiver-down', 'fault: clock-skew', '16 Verdict'],
        ])
      },
    ],
  ]
  test.each(ROWS)('%s', async (_name, holds) => holds(await said()))

  test('a fault that is named twice runs once', () => {
    expect(injectionsOf(['clock-skew', 'clock-skew']).map(({ name }) => name)).toEqual([
      'clock-skew',
    ])
  })
})

test('the chart of faults begins right below its top: it has no moments to name there', async () => {
  const drilled = await drilledWith({ 'provider-5xx': 'pass' })
  const page = renderDrillHtml(readReport(drilled.records))
  const tops = [...page.matchAll(/<rect x="[\d.]+" y="(\d+)"/g)].map(([, y]) => Number(y))
  expect(Math.min(...tops)).toBe(24)
})

test('each step that failed is told with its reason, and each number over its limit stands out', async () => {
  const world = await openVaultWorld()
  const limits = { notifyMs: 1, recoverMs: 1 }
  const { platform } = world
  const drilled = await drill(world, { depth: 'grant', platform, limits })
  const report = readReport(drilled.records)
  expect(drilled.failedAt).toBe(7)
  expect(report.end?.why).toMatch(/^Step 7 failed: It took .* to tell .* Step 14 failed: It took /)
  expect(headlineOf(report)).toBe('Drill at depth grant: failed at steps 7, 14')
  const figures = [...renderDrillHtml(report).matchAll(/<dt>([^<]*)<\/dt><dd class="is-fail">/g)]
  const lines = renderDrillEnd(report, { columns: 200, color: pc.createColors(true) }).split('\n')
  const red = lines.filter((line) => line.includes('\u001b[31m') && line.startsWith('  '))
  const over = ['Time to notify', 'Time to recover']
  expect(figures.map(([, name]) => name)).toEqual(over)
  expect(red.map((line) => over.find((name) => line.includes(name)))).toEqual(over)
})

test('a drill of faults that passed says how many ran, and names those that were skipped', async () => {
  const world = await openVaultWorld()
  const injections = injectionsOf(['refresh-with-scope', 'second-page', 'five-failures'])
  const { platform } = world
  const drilled = await drill(world, { depth: 'refresh', platform, more: { injections } })
  const why = 'All steps passed. 1 fault passed, and 2 skipped: second-page, five-failures.'
  expect(drilled.records.at(-1)?.why).toBe(why)
  expect(renderDrillHtml(readReport(drilled.records))).toContain(`<p class="lead">${why}</p>`)
})
