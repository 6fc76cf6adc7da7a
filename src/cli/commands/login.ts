import { spawn } from 'node:child_process'
import { Command } from 'commander'
import { RescindError } from '../../core/errors.ts'
import { shownName } from '../../core/screen-text.ts'
import type { Browser } from '../../providers/provider.ts'
import { type Context, type TenantOptions, withContext, withTenantOptions } from '../context.ts'
import type { Io } from '../io.ts'

interface LoginOptions extends TenantOptions {
  readonly browser: boolean
}

/** Makes `rescind login`: a person logs in through the browser, and the refresh token is kept. */
export function loginCommand(io: Io): Command {
  return withTenantOptions(new Command('login'))
    .description('log in to a tenant through the browser, and keep its refresh token, sealed')
    .option('--no-browser', 'only print the address to open')
    .action(async (options: LoginOptions) => {
      await withContext(io, options, (context) => logIn(context, options))
    })
}

async function logIn(context: Context, options: LoginOptions): Promise<void> {
  const { output } = context
  const tenant = context.tenant()
  const provider = context.provider(tenant)
  if (!provider.logIn) {
    throw new RescindError(
      'provider_unsupported',
      `${provider.title} has no login through the browser. Put its credentials into rescind.yaml.`,
    )
  }
  const browser: Browser = {
    open: (url) => {
      output.note(`Open this address, and log in:\n${url}`)
      if (options.browser) openBrowser(url)
    },
  }
  const account = await provider.logIn(tenant, await context.means(), browser)
  output.result({ tenant: tenant.name, account })
  output.say(
    `Logged in to ${shownName(account.name)} (${account.id}) as ${shownName(account.caller.userName)}. The refresh token is kept, sealed.`,
  )
}

/** Tries to open the person's browser; where there is none, the printed address is enough. */
function openBrowser(url: string): void {
  const [command, ...args] = openerOf(process.platform, url)
  if (command === undefined) return
  const child = spawn(command, args, { stdio: 'ignore', detached: true })
  child.on('error', () => {})
  child.unref()
}

function openerOf(platform: NodeJS.Platform, url: string): readonly string[] {
  if (platform === 'darwin') return ['open', url]
  if (platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler', url]
  return ['xdg-open', url]
}
