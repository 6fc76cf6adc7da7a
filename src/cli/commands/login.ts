import { Command } from 'commander'
import { RescindError } from '../../core/errors.ts'
import { shownName } from '../../core/screen-text.ts'
import type { Browser } from '../../providers/provider.ts'
import { openBrowser } from '../consent/open-browser.ts'
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
