import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, BrowserContextOptions } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runConformance } from '../../src/conformance/conformance.ts'
import { renderConformanceHtml } from '../../src/conformance/report/html.ts'
import { startToy } from '../conformance/peers/toy.ts'
import { chromiumPath, launchChromium, withoutChromium } from './chromium.ts'
import { type FaintText, FIND_FAINT_TEXTS } from './contrast.ts'

// Skipped only where no Chromium is installed, nor may be: the title says so.
describe.skipIf(chromiumPath === null)(`the report of a conformance run${withoutChromium}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-conformance-'))
  const file = join(folder, 'report.html')
  let browser: Browser

  beforeAll(async () => {
    const peer = await startToy('refuses unknown tokens')
    const only = [1, 3, 12, 30, 31, 40, 41, 70, 135]
    const report = await runConformance({ config: peer.config, only })
    await peer.close()
    writeFileSync(file, [...renderConformanceHtml(report)].join(''))
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser?.close()
    rmSync(folder, { recursive: true })
  })

  async function open(options: BrowserContextOptions = {}) {
    const page = await browser.newPage(options)
    const complaints: string[] = []
    const requests: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('request', (request) => requests.push(request.url()))
    await page.goto(pathToFileURL(file).href)
    await page.evaluate('document.querySelectorAll("details").forEach((d) => { d.open = true })')
    return { page, complaints, requests }
  }

  test('headline, no complaint, no request, no script', async () => {
    const { page, complaints, requests } = await open()
    expect(await page.locator('h1').textContent()).toBe('4 of 7 cases failed: 2 must, 2 hardening')
    expect(complaints).toEqual([])
    expect(requests.filter((request) => !request.startsWith('data:'))).toHaveLength(1)
    expect(await page.locator('script, img, iframe').count()).toBe(0)
    expect(await page.locator('.failure').count()).toBe(4)
    expect(await page.locator('.cases tbody tr').count()).toBe(9)
    await page.close()
  })

  test('it fits 390 pixels, with the level and the section of each case', async () => {
    const { page } = await open({ viewport: { width: 390, height: 800 } })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
    for (const column of ['level', 'cite']) {
      const cells = await page.locator(`.cases td.${column}`).all()
      expect(cells).toHaveLength(9)
      for (const cell of cells) expect(await cell.isVisible()).toBe(true)
    }
    await page.close()
  })

  test.each(['light', 'dark'] as const)('%s: every text is readable', async (colorScheme) => {
    const { page } = await open({ colorScheme })
    expect(await page.evaluate<FaintText[]>(FIND_FAINT_TEXTS)).toEqual([])
    await page.close()
  })
})
