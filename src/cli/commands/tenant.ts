import { Command } from 'commander'
import { RescindError } from '../../core/errors.ts'
import { parseEndpoint } from '../../core/url.ts'
import { TENANT_NAME } from '../config.ts'
import { addTenant, isSecretKey, removeTenant } from '../config-file.ts'
import { type Context, type TenantOptions, withContext, withTenantOptions } from '../context.ts'
import type { Io } from '../io.ts'
import { many } from '../option-values.ts'

interface AddOptions extends TenantOptions {
  readonly provider: string
  readonly url?: string
  readonly login?: string
  readonly set?: readonly string[]
}

/** Makes `rescind tenant add|list|check|remove`. */
export function tenantCommand(io: Io): Command {
  const command = new Command('tenant').description('the tenants that Rescind works on')
  command.addCommand(
    withTenantOptions(new Command('add'))
      .argument('<name>', 'how you will call it')
      .description('add a tenant to rescind.yaml')
      .requiredOption('--url <url>', 'its address: https://acme.my.salesforce.com')
      .option('--provider <id>', 'the provider', 'salesforce')
      .option(
        '--login <method>',
        'jwt, client_credentials, refresh_token, password, access_token, sf, web',
      )
      .option(
        '--set <key=value>',
        'a key of the login; a secret as ${env:NAME} or ${file:path} (repeatable)',
        many,
      )
      .action((name: string, options: AddOptions) =>
        withContext(io, options, (c) => add(c, name, options)),
      ),
  )
  command.addCommand(
    withTenantOptions(new Command('list'))
      .description('list the tenants')
      .action((options: TenantOptions) => withContext(io, options, list)),
  )
  command.addCommand(
    withTenantOptions(new Command('check'))
      .argument('[name]', 'the tenant')
      .description('log in, and say what the credential may do')
      .action((name: string | undefined, options: TenantOptions) =>
        withContext(io, options, (context) => check(context, name)),
      ),
  )
  command.addCommand(
    withTenantOptions(new Command('remove'))
      .argument('<name>', 'the tenant')
      .description('remove a tenant from rescind.yaml, and its credentials from the store')
      .action((name: string, options: TenantOptions) =>
        withContext(io, options, (context) => remove(context, name)),
      ),
  )
  return command
}

async function add(context: Context, name: string, options: AddOptions): Promise<void> {
  const { config, output } = context
  if (!TENANT_NAME.test(name)) {
    throw new RescindError(
      'usage',
      'A tenant is called by letters, digits, dot, dash and underscore, 63 at most. Choose another name.',
    )
  }
  if (config.tenants.has(name)) {
    throw new RescindError(
      'tenant_exists',
      `${config.path} has a tenant "${name}" already. Choose another name, or edit the file.`,
    )
  }
  const url = parseEndpoint(options.url ?? '', 'The --url', options.acceptRisk)
  const method = options.login === undefined ? {} : { method: options.login }
  const login = { ...method, ...readSettings(options.set ?? []) }
  const tenant = { name, provider: options.provider, url: url.href, login, options: {} }
  context.provider(tenant).checkConfig?.(tenant)
  addTenant(config.path, name, {
    provider: options.provider,
    url: url.href.replace(/\/$/, ''),
    login,
  })
  output.result({ tenant: name, config: config.path })
  output.say(
    `Added ${name} to ${config.path}. See what its credential may do: rescind tenant check ${name}`,
  )
}

/** Reads `key=value` settings; a secret is named, never given. */
function readSettings(settings: readonly string[]): Record<string, string> {
  const read: Record<string, string> = {}
  for (const setting of settings) {
    const at = setting.indexOf('=')
    const key = setting.slice(0, at)
    const value = setting.slice(at + 1)
    if (at < 1) {
      throw new RescindError(
        'usage',
        'A --set wants the form key=value, like --set clientId=3MVG9….',
      )
    }
    if (isSecretKey(key) && !/^\$\{(env|file):[^}]+\}$/.test(value)) {
      throw new RescindError(
        'usage',
        `--set ${key} is a secret, and arguments can be read by others on this machine. Name where it is: --set '${key}=\${env:NAME}' or '${key}=\${file:path}'.`,
      )
    }
    read[key] = value
  }
  return read
}

async function list({ config, output }: Context): Promise<void> {
  const tenants = [...config.tenants.values()].map(({ name, provider, url, login }) => ({
    name,
    provider,
    url,
    login: typeof login.method === 'string' ? login.method : null,
  }))
  output.result({ config: config.path, tenants })
  if (tenants.length === 0)
    output.say(`${config.path} has no tenant yet. Add one with: rescind tenant add NAME`)
  for (const { name, provider, url, login } of tenants) {
    output.say(`${name.padEnd(20)} ${provider.padEnd(12)} ${(login ?? '–').padEnd(20)} ${url}`)
  }
}

async function check(context: Context, name: string | undefined): Promise<void> {
  const { output } = context
  const tenant = context.tenant(name)
  const session = await context.session(tenant)
  const capabilities = await session.check()
  const { account } = session
  output.result({ tenant: tenant.name, account, capabilities })
  output.say(`${output.color.bold(tenant.name)}  ${account.name} (${account.id}) at ${account.url}`)
  output.say(`logged in as ${account.caller.userName}`)
  const { color } = output
  const signs = {
    yes: color.green('yes    '),
    no: color.red('no     '),
    unknown: color.yellow('unknown'),
  }
  for (const { name, can, why } of capabilities) output.say(`  ${signs[can]}  ${name}: ${why}`)
}

async function remove(context: Context, name: string): Promise<void> {
  const { config, output } = context
  context.tenant(name)
  removeTenant(config.path, name)
  await (await context.store()).credentials.removeAll(name)
  output.result({ tenant: name, removed: true })
  output.say(
    `Removed ${name} from ${config.path}, and its credentials from the store. Its inventories, plans and runs stay.`,
  )
}
