import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { renderHtml } from '../../src/sweep/report/html.ts'
import { HOSTILE_NAMES, type Sample, sampleModel } from '../sweep/report/sample-model.ts'
import { chromiumPath, launchChromium, withoutChromium } from './chromium.ts'
import { type FaintText, FIND_FAINT_TEXTS } from './contrast.ts'

const SAMPLES: readonly (readonly [string, Sample, string])[] = [
  ['usual', { cameBack: 4 }, '11,812 of 11,820 proven dead; 3 alive; 5 unknown'],
  [
    'hostile names',
    { names: HOSTILE_NAMES, planned: 60, apps: 9, users: 9, cameBack: 2 },
    '52 of 60 proven dead; 3 alive; 5 unknown',
  ],
  ['nothing planned', { planned: 0 }, 'No token was planned, and none was killed'],
  [
    'stopped, all alive, partial',
    { planned: 40, alive: 40, unknown: 0, unsent: 9, partial: true, state: 'stopped' },
    '0 of 40 proven dead; 40 alive',
  ],
  [
    '500 apps, 10,000 users',
    { planned: 20_000, apps: 500, users: 10_000, alive: 0, unknown: 0 },
    '20,000 of 20,000 proven dead',
  ],
]

// Skipped only where no Chromium is installed, nor may be: the title says so.
describe.skipIf(chromiumPath === null)(`the report in a browser${withoutChromium}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-report-'))
  let browser: Browser

  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser?.close()
    rmSync(folder, { recursive: true })
  })

  /** Opens the report of a sample and gives what the browser complained of or asked for. */
  async function open(sample: Sample, options: BrowserContextOptions = {}) {
    const file = join(folder, 'report.html')
    writeFileSync(file, [...renderHtml(sampleModel(sample))].join(''))
    const page = await browser.newPage(options)
    const complaints: string[] = []
    const requests: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('request', (request) => requests.push(request.url()))
    await page.goto(pathToFileURL(file).href)
    return { page, complaints, requests, url: pathToFileURL(file).href }
  }

  test.each(SAMPLES)('%s: headline, no complaint, no request', async (_title, sample, headline) => {
    const { page, complaints, requests, url } = await open(sample)
    expect(await page.locator('h1').textContent()).toBe(headline)
    expect(complaints).toEqual([])
    // The empty icon is in the page itself.
    expect(requests.filter((request) => request !== 'data:,')).toEqual([url])
    expect(await page.locator('script, img, iframe, object, embed').count()).toBe(0)
    expect(await faultsOfStructure(page)).toEqual([])
    await page.close()
  })

  test.each(SAMPLES)('%s: fits 400 pixels', async (_title, sample) => {
    const { page } = await open(sample, { viewport: { width: 400, height: 800 } })
    await openAll(page)
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(400)
    await page.close()
  })

  test.each(['light', 'dark'] as const)('%s: every text is readable', async (colorScheme) => {
    for (const [, sample] of SAMPLES.slice(0, 4)) {
      const { page } = await open(sample, { colorScheme })
      await openAll(page)
      expect(await page.evaluate<FaintText[]>(FIND_FAINT_TEXTS)).toEqual([])
      await page.close()
    }
  })

  test('the two schemes differ, and paper is always light', async () => {
    const paper = 'getComputedStyle(document.body).backgroundColor'
    const light = await open({ planned: 20 }, { colorScheme: 'light' })
    const white = await light.page.evaluate(paper)
    await light.page.close()
    const { page } = await open({ planned: 20 }, { colorScheme: 'dark' })
    expect(await page.evaluate(paper)).not.toBe(white)
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' })
    expect(await page.evaluate(paper)).toBe(white)
    await page.close()
  })

  test('paper shows what is folded on the screen', async () => {
    const { page } = await open({ planned: 300, alive: 1, unknown: 0 })
    const row = page.locator('.tokens tbody tr').last()
    const height = async () => (await row.boundingBox())?.height ?? 0
    expect(await row.isVisible()).toBe(false)
    await page.emulateMedia({ media: 'print' })
    expect(await height()).toBeGreaterThan(0)
    const pdf = await page.pdf({ preferCSSPageSize: true })
    expect(pdf.subarray(0, 5).toString()).toBe('%PDF-')
    await page.close()
  })

  test('the pictures have words, and the bar its parts', async () => {
    const { page } = await open({ planned: 40, alive: 10, unknown: 10 })
    expect(await page.locator('svg:not([aria-hidden]):not([aria-label])').count()).toBe(0)
    const bar = page.locator('.top .bar')
    expect(await bar.getAttribute('aria-label')).toBe(
      'Of 40 planned: 20 dead, 10 alive, 10 unknown',
    )
    const widths = await bar
      .locator('rect')
      .evaluateAll((parts) =>
        parts.map((part) =>
          Math.round(
            (part.getBoundingClientRect().width /
              part.parentElement!.getBoundingClientRect().width) *
              100,
          ),
        ),
      )
    expect(widths).toEqual([50, 25, 25])
    await page.close()
  })
})

async function openAll(page: Page): Promise<void> {
  await page.evaluate('document.querySelectorAll("details").forEach((d) => { d.open = true })')
}

/** Finds tables without a caption or titles, headings that skip a level, and a missing language. */
function faultsOfStructure(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`(() => {
    const faults = []
    if (document.documentElement.lang === '') faults.push('no language')
    if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1')
    if (document.querySelectorAll('main').length !== 1) faults.push('not one main')
    for (const table of document.querySelectorAll('table')) {
      if (!table.caption) faults.push('a table without a caption')
      if (!table.querySelector('thead th[scope=col]')) faults.push('a table without titles')
      const cells = [...table.rows].map((row) => [...row.cells].reduce((sum, cell) => sum + cell.colSpan, 0))
      if (new Set(cells).size !== 1) faults.push('uneven rows: ' + table.caption?.innerText)
    }
    let level = 1
    for (const heading of document.querySelectorAll('h1, h2, h3, h4')) {
      const next = Number(heading.tagName[1])
      if (next > level + 1) faults.push('a level is skipped: ' + heading.innerText)
      level = next
    }
    return faults
  })()`)
}
