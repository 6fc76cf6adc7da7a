import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { browserConsent } from '../../src/connections/drill/consent/browser.ts'
import { renderDrillHtml } from '../../src/connections/drill/report/html.ts'
import { renderDrillJunit } from '../../src/connections/drill/report/junit.ts'
import { readReport } from '../../src/connections/drill/report/model.ts'
import { type TracedCall, traceLine } from '../../src/connections/open-connectors/trace.ts'
import { drill, openAccountWorld, openVaultWorld, story } from '../connections/drill/world.ts'
import { HOSTILE_NAMES } from '../sweep/report/sample-model.ts'
import { chromiumPath, launchChromium, withoutChromium } from './chromium.ts'
import { type FaintText, FIND_FAINT_TEXTS } from './contrast.ts'

// Skipped only where no Chromium is installed, nor may be: the title says so.
describe.skipIf(chromiumPath === null)(`a drill in a browser${withoutChromium}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-drill-page-'))
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser?.close()
    rmSync(folder, { recursive: true })
  })

  test.each(['rescind', 'open-connectors'] as const)(
    'the test user denies, then consents, via %s; the report is readable',
    async (via) => {
      const world = via === 'rescind' ? await openVaultWorld() : await openAccountWorld()
      const { username, password } = world.user
      const pictures: number[] = []
      const keepPicture = (png: Uint8Array) => void pictures.push(png.length)
      const calls: string[] = []
      const trace = (call: TracedCall) => void calls.push(traceLine(call))
      const consent = await browserConsent(
        { fields: { username, password } },
        { keepPicture, trace },
      )
      const drilled = await drill(world, { depth: 'refresh', platform: world.platform, consent })
      await consent.close()
      expect(drilled.verdict, story(drilled)).toBe('passed')
      expect(pictures.length).toBeGreaterThan(1)
      // A denial, then a consent: each the login and two forms, and the callback is no call.
      const page = /^GET http\S+\/authorize\?\S*state=…\S* → 200 · \d+ ms$/
      const login = /^POST http\S+\/authorize → 200 · \d+ ms$/
      const form = /^POST http\S+\/authorize → 302 · \d+ ms$/
      const visit = [page, login, form]
      expect(calls).toEqual([...visit, ...visit].map((one) => expect.stringMatching(one)))
      expect(drilled.step(9)?.evidence).toMatchObject({
        how: 'browser',
        denial: { error: 'access_denied', applied: false },
        screenshot: expect.stringMatching(/^[0-9a-f]{64}$/),
      })

      const report = readReport(drilled.records)
      const hostile = HOSTILE_NAMES.join(' ')
      const changed = { ...report, connection: hostile, actor: hostile }
      writeFileSync(join(folder, 'report.html'), renderDrillHtml(changed))
      expect(renderDrillJunit(changed)).not.toContain('<script')
      for (const colorScheme of ['light', 'dark'] as const) {
        for (const width of [1000, 390]) {
          const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } })
          const complaints: string[] = []
          page.on('console', (message) => complaints.push(message.text()))
          page.on('pageerror', (error) => complaints.push(error.message))
          await page.goto(pathToFileURL(join(folder, 'report.html')).href)
          expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
          expect(await page.evaluate<FaintText[]>(FIND_FAINT_TEXTS)).toEqual([])
          expect(await page.locator('svg.timeline rect').count()).toBeGreaterThan(10)
          // Where the drawing would be too small, the same stands there as a list.
          expect([
            await page.locator('svg.timeline').isVisible(),
            await page.locator('.moments').isVisible(),
          ]).toEqual([width === 1000, width === 390])
          expect(await page.locator('.moments li').count()).toBe(
            drilled.records.filter(({ kind }) => kind === 'step').length + 4,
          )
          expect(complaints).toEqual([])
          await page.close()
        }
      }
    },
  )
})
