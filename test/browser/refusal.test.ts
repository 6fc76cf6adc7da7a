import type { Browser, BrowserContextOptions } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EndpointWorld, openEndpoints } from '../server/endpoints-world.ts'
import { chromiumPath, launchChromium, withoutChromium } from './chromium.ts'
import { type FaintText, FIND_FAINT_TEXTS } from './contrast.ts'

// Skipped only where no Chromium is installed, nor may be: the title says so.
describe.skipIf(chromiumPath === null)(`the page of a refused sign-in${withoutChromium}`, () => {
  let browser: Browser
  let world: EndpointWorld

  beforeAll(async () => {
    world = await openEndpoints({ authorize: async () => null })
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser?.close()
    await world?.[Symbol.asyncDispose]()
  })

  async function open(options: BrowserContextOptions = {}) {
    const page = await browser.newPage(options)
    const complaints: string[] = []
    const requests: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('request', (request) => requests.push(request.url()))
    await page.goto(`${world.origin}/authorize?client_id=nobody`)
    return { page, complaints, requests }
  }

  test('its policy lets its own style through, and nothing else is loaded', async () => {
    const { page, complaints, requests } = await open()
    expect(await page.locator('h1').textContent()).toBe('This sign-in cannot go on')
    expect(await page.locator('.lead').textContent()).toBe('The application is not known here.')
    const width = await page
      .locator('.page')
      .evaluate('document.querySelector(".page").clientWidth')
    expect(width).toBeLessThan(700)
    // What it complains of is the status of the page itself.
    expect(complaints.filter((line) => !line.includes('400'))).toEqual([])
    expect(requests.filter((request) => !request.startsWith('data:'))).toHaveLength(1)
    await page.close()
  })

  test('it fits 390 pixels', async () => {
    const { page } = await open({ viewport: { width: 390, height: 800 } })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
    await page.close()
  })

  test.each(['light', 'dark'] as const)('%s: every text is readable', async (colorScheme) => {
    const { page } = await open({ colorScheme })
    expect(await page.evaluate<FaintText[]>(FIND_FAINT_TEXTS)).toEqual([])
    await page.close()
  })
})
