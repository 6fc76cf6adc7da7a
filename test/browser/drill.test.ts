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
import { Secret } from '../../src/core/secret.ts'
import { startRawServer } from '../cli/raw-server.ts'
import { drill, openAccountWorld, openVaultWorld, story } from '../connections/drill/world.ts'
import { HOSTILE_NAMES } from '../sweep/report/sample-model.ts'
import { chromiumPath, launchChromium, withoutChromium } from './chromium.ts'
import { type FaintText, FIND_FAINT_TEXTS } from './contrast.ts'

// Skipped only where no Chromium is installed, nor may be: the title says so.
describe.skipIf(chromiumPath === null)(`the picture of a consent${withoutChromium}`, () => {
  const redirectUri = 'http://127.0.0.1:4799/callback'
  const page = (pin: string, shown = '') =>
    `<form method="post"><input name="user"><input name="pin" type="text" value="${pin}">${shown}
<button name="d" value="deny">Deny</button><button name="d" value="allow">Allow</button></form>`

  /** What a login and its consent in one, or on two pages, leaves a picture of. */
  const pictureOf = async (pin: string, isTwice: boolean) => {
    const server = await startRawServer(({ method, body }, response) => {
      const typed = new URLSearchParams(body)
      const isOver = method === 'POST' && (!isTwice || typed.has('again'))
      if (isOver)
        return response.writeHead(302, { location: `${redirectUri}?state=s&code=c` }).end()
      response.setHeader('content-type', 'text/html')
      const again = '<input type="hidden" name="again" value="1">'
      response.end(method === 'POST' ? page(typed.get('pin') ?? '', again) : page(''))
    })
    const pictures: Uint8Array[] = []
    const fields = { user: 'ann', pin }
    const consent = await browserConsent({ fields }, { keepPicture: (png) => pictures.push(png) })
    try {
      const link = { url: `${server.url}/authorize`, state: new Secret('s'), redirectUri }
      const { callback, screenshot } = await consent.visit(link, 'allow')
      expect(callback?.code?.reveal()).toBe('c')
      expect(server.requests.at(-1)?.body).toContain(pin)
      return { screenshot, count: pictures.length }
    } finally {
      await consent.close()
      server.close()
    }
  }

  test.each([
    ['on the page of the login itself', false, 1],
    ['on a page that shows it anew', true, 2],
  ])('holds no secret that is typed in clear, %s', async (_title, isTwice, count) => {
    const [one, other] = [
      await pictureOf('PIN-110099', isTwice),
      await pictureOf('PIN-884422', isTwice),
    ]
    expect(one).toEqual({ screenshot: expect.stringMatching(/^[0-9a-f]{64}$/), count })
    expect(one).toEqual(other)
  })
})

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
