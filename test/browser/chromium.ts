import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** The browser's path, or null where none is installed. */
export const chromiumPath = BROWSERS.find((path) => existsSync(path)) ?? null

/** Why the tests are skipped, for their title. */
export const withoutChromium =
  chromiumPath === null
    ? ' (skipped: no Chromium here; "node scripts/install-chromium.mjs" installs it)'
    : ''

/** Starts the browser without a window, and without the requests that it makes of its own. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath ?? '',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
