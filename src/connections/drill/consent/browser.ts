import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { RescindError } from '../../../core/errors.ts'
import { type TracedCall, traceableUrl } from '../../open-connectors/trace.ts'
import type { ReconnectLink } from '../platform.ts'
import {
  type Consent,
  type ConsentFields,
  type ConsentVisit,
  chooseButton,
  type Decision,
  type PageButton,
  readCallback,
} from './consent.ts'

/** Where Debian, Ubuntu and Google put it. */
const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
/** Login, consent and what stands between them. */
const PAGES_MAX = 12
/** A page that is not there by then does not come. */
const PAGE_MS_MAX = 30_000

/** A grey that is nobody's page. */
const MASK_COLOR = '#8a94a0'

export interface BrowserWish {
  /** The browser's program; found where the system puts it otherwise. */
  readonly program?: string | undefined
  /** Takes the picture of the page on which the decision is made, without what stands in its inputs. */
  readonly keepPicture?: ((png: Uint8Array, decision: Decision) => void) | undefined
  /** Sees each page that is asked for. */
  readonly trace?: ((call: TracedCall) => void) | undefined
}

/** Returns why no browser can be used here, in one sentence; undefined where one can. */
export async function whyNoBrowser({ program }: BrowserWish = {}): Promise<string | undefined> {
  if (findProgram(program) === undefined) {
    return 'There is no Chromium here: install it (Debian: apt-get install chromium), or name it with drill.consent.browser.'
  }
  const playwright = await loadPlaywright()
  if (playwright !== undefined) return undefined
  return 'The package playwright-core is not installed: npm install playwright-core.'
}

/**
 * Gets the consent of a test user in a real headless Chromium. The browser never reaches the callback:
 * its request is taken there, so that nobody else applies the code.
 *
 * @throws RescindError `browser_missing`
 */
export async function browserConsent(fields: ConsentFields, wish: BrowserWish): Promise<Consent> {
  const why = await whyNoBrowser(wish)
  const playwright = await loadPlaywright()
  const executablePath = findProgram(wish.program)
  if (why !== undefined || playwright === undefined || executablePath === undefined) {
    throw new RescindError('browser_missing', `${why} Or use --consent form, or --consent link.`)
  }
  let browser: Browser | undefined
  return {
    how: 'browser',
    canDeny: true,
    async visit(link, decision, signal) {
      browser ??= await playwright.chromium.launch({ executablePath, args: [...QUIET] })
      const context = await browser.newContext()
      const stop = () => void context.close().catch(() => {})
      signal?.addEventListener('abort', stop, { once: true })
      try {
        return await walk(context, { link, decision, fields, wish })
      } catch (error) {
        signal?.throwIfAborted()
        throw asConsentError(error)
      } finally {
        signal?.removeEventListener('abort', stop)
        await context.close()
      }
    },
    close: async () => {
      await browser?.close()
    },
  }
}

/** Without the requests that the browser makes of its own. A container has no sandbox to give. */
const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
] as const

function findProgram(program: string | undefined): string | undefined {
  return [program, ...(program === undefined ? BROWSERS : [])].find(
    (path) => path !== undefined && existsSync(path),
  )
}

/** An optional peer: who never drills with a browser does not need it. */
async function loadPlaywright(): Promise<typeof import('playwright-core') | undefined> {
  try {
    return await import('playwright-core')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return undefined
    throw error
  }
}

interface Walk {
  readonly link: ReconnectLink
  readonly decision: Decision
  readonly fields: ConsentFields
  readonly wish: BrowserWish
}

async function walk(context: BrowserContext, wish: Walk): Promise<ConsentVisit> {
  const { link, decision, fields } = wish
  const page = await context.newPage()
  page.setDefaultTimeout(PAGE_MS_MAX)
  const callback = await takeCallback(page, link.redirectUri)
  if (wish.wish.trace) tracePages(page, link.redirectUri, wish.wish.trace)
  let pages = 0
  let picture: Uint8Array | undefined
  await page.goto(link.url, { waitUntil: 'domcontentloaded' }).catch(ignoreIfTaken(callback))
  while (callback.url === undefined) {
    pages += 1
    if (pages > PAGES_MAX) throw stuck(`The login did not come to an end in ${PAGES_MAX} pages.`)
    // Before anything is typed, for a login and its consent may be one page.
    const seen = await takePicture(page)
    const typed = await typeIn(page, fields.fields)
    const button = await findButton(page, fields, decision)
    if (button === undefined && !typed)
      throw stuck(`The page "${await page.title()}" has no button for it.`)
    if (button !== undefined) {
      picture = seen
      wish.wish.keepPicture?.(picture, decision)
    }
    const moved = nextPage(page)
    await press(page, button)
    await Promise.race([callback.came, moved])
  }
  return { callback: readCallback(callback.url), pages, screenshot: digestOf(picture) }
}

interface Taken {
  url: URL | undefined
  readonly came: Promise<void>
}

/**
 * Answers the request to the callback address here, and keeps its URL. By the protocol itself, for
 * Playwright's routes do not see what a redirect leads to.
 */
async function takeCallback(page: Page, redirectUri: string): Promise<Taken> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const taken: Taken = { url: undefined, came: promise }
  const session = await page.context().newCDPSession(page)
  await session.send('Fetch.enable', { patterns: [{ urlPattern: `${redirectUri}*` }] })
  session.on('Fetch.requestPaused', ({ requestId, request }) => {
    taken.url ??= new URL(request.url)
    const body = Buffer.from('The drill has the answer.').toString('base64')
    session
      .send('Fetch.fulfillRequest', { requestId, responseCode: 200, body })
      .catch(() => {})
      .finally(resolve)
  })
  return taken
}

/** What a page loads beside itself is the browser's affair; the callback is answered here, and no call. */
function tracePages(page: Page, redirectUri: string, trace: (call: TracedCall) => void): void {
  page.on('response', (response) => {
    const request = response.request()
    if (!request.isNavigationRequest() || request.url().startsWith(redirectUri)) return
    const ms = Math.max(0, Math.round(request.timing().responseStart))
    const call = { method: request.method(), status: response.status(), requestId: null, ms }
    trace({ ...call, url: traceableUrl(request.url()) })
  })
}

function ignoreIfTaken(taken: Taken) {
  return (error: unknown) => {
    if (taken.url === undefined) throw error
  }
}

const INPUTS = 'input:not([type=submit], [type=button]), textarea'

/** A page may show anew what was typed on the one before it: no input is in the picture. */
function takePicture(page: Page): Promise<Uint8Array> {
  return page.screenshot({ type: 'png', mask: [page.locator(INPUTS)], maskColor: MASK_COLOR })
}

async function typeIn(page: Page, fields: Readonly<Record<string, string>>): Promise<boolean> {
  let typed = false
  for (const [name, value] of Object.entries(fields)) {
    const input = page.locator(`input[name=${JSON.stringify(name)}]:visible`).first()
    if ((await input.count()) === 0) continue
    await input.fill(value)
    typed = true
  }
  return typed
}

interface FoundButton extends PageButton {
  readonly at: number
}

const BUTTONS = 'button:visible, input[type=submit]:visible'

async function findButton(
  page: Page,
  fields: ConsentFields,
  decision: Decision,
): Promise<FoundButton | undefined> {
  const buttons = await page.locator(BUTTONS).evaluateAll((elements) =>
    elements.map((element, at) => ({
      at,
      name: element.getAttribute('name') ?? '',
      value: element.getAttribute('value') ?? '',
      label: element.textContent?.trim() || (element.getAttribute('value') ?? ''),
    })),
  )
  return chooseButton(buttons, decision, fields)
}

async function press(page: Page, button: FoundButton | undefined): Promise<void> {
  await page
    .locator(BUTTONS)
    .nth(button?.at ?? 0)
    .click({ noWaitAfter: true })
}

/** Begun before the click: a page may be there before the click has ended. */
function nextPage(page: Page): Promise<void> {
  const left = page.url()
  const next = page
    .waitForEvent('domcontentloaded', { timeout: PAGE_MS_MAX })
    .then(() => {})
    .catch(() => {
      throw stuck(`Nothing followed the page at ${new URL(left).pathname}.`)
    })
  next.catch(() => {})
  return next
}

function digestOf(picture: Uint8Array | undefined): string | null {
  return picture === undefined ? null : createHash('sha256').update(picture).digest('hex')
}

function stuck(text: string): RescindError {
  const message = `The consent of the test user led nowhere. ${text} Check drill.consent in rescind.yaml.`
  return new RescindError('consent_failed', message)
}

/** Playwright's messages hold the address of the page, and with it the state. */
function asConsentError(error: unknown): unknown {
  if (error instanceof RescindError) return error
  return stuck('The browser could not go on: the page did not load, or closed.')
}
