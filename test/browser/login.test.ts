import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { refuseSecrets } from '../cli/run-revoke.ts'
import { chromiumPath, launchChromium, withoutChromium } from './chromium.ts'
import { type FaintText, FIND_FAINT_TEXTS } from './contrast.ts'

const MAIN = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'src/cli/main.ts')

interface Ended {
  readonly exit: number | null
  readonly stdout: string
  readonly stderr: string
}

// Skipped only where no Chromium is installed, nor may be: the title says so.
describe.skipIf(chromiumPath === null)(`rescind login in a browser${withoutChromium}`, () => {
  let browser: Browser
  let org: SalesforceOrg
  let folder: string
  const children = new Set<ChildProcess>()

  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())
  beforeEach(async () => {
    org = await startSalesforce({ seed: 81, size: { users: 40, apps: 16, tokens: 600 } })
    folder = mkdtempSync(join(tmpdir(), 'rescind-login-'))
    const { clientId } = org.credentials.tool
    const tenant = { provider: 'salesforce', url: org.url, login: { method: 'web', clientId } }
    writeFileSync(join(folder, 'rescind.yaml'), JSON.stringify({ tenants: { acme: tenant } }))
  })
  afterEach(async () => {
    for (const child of children) child.kill()
    await org.close()
    rmSync(folder, { recursive: true })
  })

  /** Starts a command; `address` comes as soon as it prints one to open. */
  function start(...args: readonly string[]) {
    const env = { PATH: process.env.PATH, HOME: folder, RESCIND_HOME: join(folder, 'home') }
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder, env })
    children.add(child)
    const { promise: address, resolve: found } = Promise.withResolvers<string>()
    const { promise: ended, resolve: end } = Promise.withResolvers<Ended>()
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
      const [url] = /^http\S+$/m.exec(stderr) ?? []
      if (url !== undefined) found(url)
    })
    child.on('close', (exit) => {
      children.delete(child)
      refuseSecrets(`${stdout}\n${stderr}`, [...org.truth.secrets()])
      end({ exit, stdout, stderr })
    })
    return { address, ended }
  }

  async function openPage(address: string, options: BrowserContextOptions = {}) {
    const page = await browser.newPage(options)
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(address)
    return { page, complaints }
  }

  async function logIn(page: Page, password = org.credentials.admin.password): Promise<void> {
    await page.getByLabel('Username').fill(org.credentials.admin.username)
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Log In' }).click()
  }

  test('login, approval, back at the terminal; then an inventory by the stored token', async () => {
    const { address, ended } = start('login', '--no-browser')
    const { page, complaints } = await openPage(await address)
    await logIn(page)
    expect(await page.locator('p').first().textContent()).toContain(
      'Rescind asks for: api id refresh_token',
    )
    await page.getByRole('button', { name: 'Allow' }).click()
    await page.getByRole('heading', { name: 'The login is approved' }).waitFor()
    expect(await page.locator('main').textContent()).toContain('You can close this window.')
    expect(complaints).toEqual([])
    const { exit, stdout } = await ended
    expect([exit, stdout]).toEqual([
      0,
      expect.stringMatching(/^Logged in to .+ as admin@acme\.example\. The refresh token is kept/),
    ])
    // Sessions without a refresh token would be counted, too.
    org.expireSessions()
    const inventory = await start('inventory', '--json').ended
    const { alive } = org.truth.counts()
    const counted = { before: alive, after: alive }
    expect(JSON.parse(inventory.stdout)).toMatchObject({ complete: true, counted })
    await page.close()
  })

  test('a wrong password is asked for again, and a denial goes back to the terminal', async () => {
    const { address, ended } = start('login', '--no-browser')
    const { page } = await openPage(await address)
    await logIn(page, 'wrong')
    expect(await page.getByRole('alert').textContent()).toBe(
      'Please check your username and password.',
    )
    await logIn(page)
    await page.getByRole('button', { name: 'Deny' }).click()
    await page.getByRole('heading', { name: 'The login was refused' }).waitFor()
    const { exit, stderr } = await ended
    expect([exit, stderr]).toEqual([
      3,
      expect.stringMatching(/refused in the browser: access_denied/),
    ])
    const inventory = await start('inventory', '--json').ended
    expect([inventory.exit, inventory.stderr]).toEqual([3, expect.stringMatching(/rescind login/)])
    await page.close()
  })

  test('RFC 6749 section 10.12: another state is a stranger, and the login goes on', async () => {
    const { address, ended } = start('login', '--no-browser')
    const url = new URL(await address)
    const callback = url.searchParams.get('redirect_uri') ?? ''
    const { page } = await openPage(`${callback}?code=stolen&state=guessed`)
    expect(await page.getByRole('heading').textContent()).toBe('There is nothing here')
    await page.goto(url.href)
    await logIn(page)
    await page.getByRole('button', { name: 'Allow' }).click()
    expect((await ended).exit).toBe(0)
    await page.close()
  })

  test.each(['light', 'dark'] as const)(
    '%s: each page is readable, and fits 360 pixels',
    async (colorScheme) => {
      const { address, ended } = start('login', '--no-browser')
      const options = { colorScheme, viewport: { width: 360, height: 720 } }
      const { page, complaints } = await openPage(await address, options)
      const look = async () => {
        expect(await page.evaluate<FaintText[]>(FIND_FAINT_TEXTS)).toEqual([])
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360)
        expect(await page.evaluate('document.documentElement.lang')).toBe('en')
      }
      await look()
      await logIn(page)
      await look()
      await page.getByRole('button', { name: 'Allow' }).click()
      await page.getByRole('heading', { name: 'The login is approved' }).waitFor()
      await look()
      expect(complaints).toEqual([])
      expect((await ended).exit).toBe(0)
      await page.close()
    },
  )
})
