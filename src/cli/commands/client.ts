import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command, Option } from 'commander'
import { RescindError } from '../../core/errors.ts'
import { renderTextTable } from '../../core/text-table.ts'
import {
  CLIENT_AUTH_METHODS,
  type Client,
  type ClientAuthMethod,
  GRANT_TYPES,
  type GrantType,
  isOrigin,
} from '../../server/client-settings.ts'
import type { NewClient } from '../../server/clients.ts'
import type { Core } from '../../server/core.ts'
import type { AuthorityConfig } from '../authority-config.ts'
import { type Context, withContext } from '../context.ts'
import type { Io } from '../io.ts'
import { withAuthority } from '../open-authority.ts'
import { many, wholeNumber } from '../option-values.ts'
import { type CommonOptions, withCommonOptions } from '../output.ts'

interface ClientOptions extends CommonOptions {
  readonly config?: string
}

interface AddOptions extends ClientOptions {
  readonly name?: string
  readonly auth?: ClientAuthMethod
  readonly grant?: readonly string[]
  readonly redirectUri?: readonly string[]
  readonly origin?: readonly string[]
  readonly scope?: string
  readonly jwt?: boolean
  readonly introspect?: string
  readonly jwks?: string
  readonly certificate?: readonly string[]
  readonly certificateBound?: boolean
}

const MTLS: ClientAuthMethod = 'self_signed_tls_client_auth'
const NO_CERTIFICATES =
  'It is refused until the authority sees certificates: name the header of your proxy as authority.certificateHeader, and the proxy in trustedProxies.'
/** As `openssl x509 -fingerprint -sha256` prints it, with the words before it or without. */
const HEX_FINGERPRINT = /^(?:sha-?256 fingerprint=)?((?:[\da-f]{2}:?){32})$/i
const THUMBPRINT = /^[\w-]{43}$/

/** Makes `rescind client add|list|rotate-secret|disable`. */
export function clientCommand(io: Io): Command {
  const command = new Command('client').description('the clients of the authority')
  const withClientOptions = (inner: Command) =>
    withCommonOptions(inner).option(
      '--config <file>',
      'the configuration (default: ./rescind.yaml, then ~/.rescind)',
    )
  const run = (
    options: ClientOptions,
    work: (context: Context, core: Core, config: AuthorityConfig) => Promise<void>,
  ): Promise<void> =>
    withContext(io, options, (context) =>
      withAuthority(context, (core, config) => work(context, core, config)),
    )

  command.addCommand(
    addingOptions(withClientOptions(new Command('add')))
      .argument('<id>', 'its client_id')
      .description('register a client; its secret is printed once')
      .action((id: string, options: AddOptions) =>
        run(options, async (context, core, config) => {
          await add(context, core, id, options)
          if (options.auth === MTLS && config.certificateHeader === undefined) {
            context.output.note(NO_CERTIFICATES)
          }
        }),
      ),
  )
  command.addCommand(
    withClientOptions(new Command('list'))
      .description('list the clients')
      .action((options: ClientOptions) => run(options, list)),
  )
  command.addCommand(
    withClientOptions(new Command('rotate-secret'))
      .argument('<id>', 'its client_id')
      .description('make a new secret, printed once')
      .option('--overlap <seconds>', 'how long the old one is good as well', wholeNumber, 0)
      .action((id: string, options: ClientOptions & { readonly overlap: number }) =>
        run(options, (context, core) => rotate(context, core, id, options.overlap)),
      ),
  )
  command.addCommand(
    withClientOptions(new Command('disable'))
      .argument('<id>', 'its client_id')
      .description('refuse a client from now on, and revoke all that it holds')
      .action((id: string, options: ClientOptions) =>
        run(options, (context, core) => disable(context, core, id)),
      ),
  )
  return command
}

function addingOptions(command: Command): Command {
  return command
    .option('--name <name>', 'its name for people')
    .addOption(
      new Option('--auth <method>', 'how it proves who it is; none for a public client')
        .choices(CLIENT_AUTH_METHODS)
        .default('client_secret_basic'),
    )
    .option('--grant <type>', `what it may use: ${GRANT_TYPES.join(', ')} (repeatable)`, many)
    .option('--redirect-uri <uri>', 'where its codes may go (repeatable)', many)
    .option('--origin <origin>', 'a web origin whose pages may read answers (repeatable)', many)
    .option('--scope <scopes>', 'the scopes that it may ask for, separated by spaces')
    .option('--jwt', 'its access tokens are JWTs (RFC 9068)')
    .option(
      '--introspect <whose>',
      'which tokens it may introspect: own, none, all, or of these audiences, by commas',
    )
    .option('--jwks <file>', 'its public keys, for private_key_jwt')
    .option(
      '--certificate <thumbprint>',
      'SHA-256 of its certificate, base64url (repeatable)',
      many,
    )
    .option('--certificate-bound', 'its access tokens are good with its certificate alone')
}

async function add(
  { io, output, actor }: Context,
  { clients }: Core,
  id: string,
  options: AddOptions,
): Promise<void> {
  const { client, secret } = await clients.add(newClient(io, id, options), byOperator(actor))
  output.result({ client: shown(client), secret: secret?.reveal() ?? null })
  output.say(`Added the client ${id} (${client.authMethod}).`)
  // Under --json it stands in the result, and nowhere else.
  if (secret && !output.json)
    output.say(`Its secret, which is not shown again:\n\n  ${secret.reveal()}`)
}

function newClient(io: Io, id: string, options: AddOptions): NewClient {
  const { name, auth, grant, redirectUri, origin, scope, jwt, introspect, certificate } = options
  for (const type of grant ?? []) {
    if (!(GRANT_TYPES as readonly string[]).includes(type)) {
      throw new RescindError('usage', `There is no such --grant. Known: ${GRANT_TYPES.join(', ')}.`)
    }
  }
  for (const uri of redirectUri ?? []) checkRedirect(uri)
  for (const one of origin ?? []) checkOrigin(one)
  if (auth === 'private_key_jwt' && options.jwks === undefined) {
    throw new RescindError('usage', 'A client with private_key_jwt needs its public keys: --jwks.')
  }
  for (const one of certificate ?? []) checkThumbprint(one)
  if (auth === MTLS && certificate === undefined) {
    throw new RescindError(
      'usage',
      'A client with self_signed_tls_client_auth needs a --certificate.',
    )
  }
  return {
    id,
    ...(name === undefined ? {} : { name }),
    ...(auth === undefined ? {} : { authMethod: auth }),
    ...(grant === undefined ? {} : { grantTypes: grant as GrantType[] }),
    ...(redirectUri === undefined ? {} : { redirectUris: [...redirectUri] }),
    ...(origin === undefined ? {} : { origins: [...origin] }),
    ...(scope === undefined ? {} : { scope }),
    ...(jwt ? { accessTokenFormat: 'jwt' as const } : {}),
    ...(introspect === undefined ? {} : { introspect: introspection(introspect) }),
    ...(certificate === undefined ? {} : { certificates: [...certificate] }),
    ...(options.certificateBound ? { certificateBoundAccessTokens: true } : {}),
    ...(options.jwks === undefined ? {} : { jwks: readKeys(io, options.jwks) }),
  }
}

/** @see https://www.rfc-editor.org/rfc/rfc6749#section-3.1.2 */
function checkRedirect(uri: string): void {
  const isGood = URL.canParse(uri) && !uri.includes('#') && !/^(javascript|data):/i.test(uri)
  if (isGood) return
  throw new RescindError(
    'url_invalid',
    `The --redirect-uri "${uri}" is not an absolute address without a fragment.`,
  )
}

function checkOrigin(origin: string): void {
  if (isOrigin(origin)) return
  throw new RescindError(
    'url_invalid',
    `The --origin "${origin}" is not a web origin. Write it without a path: https://app.example.com.`,
  )
}

function checkThumbprint(text: string): void {
  if (THUMBPRINT.test(text)) return
  const [, hex] = HEX_FINGERPRINT.exec(text) ?? []
  const thumbprint = Buffer.from(hex?.replaceAll(':', '') ?? '', 'hex').toString('base64url')
  throw new RescindError(
    'usage',
    hex === undefined
      ? 'A --certificate is the SHA-256 thumbprint of the certificate in base64url, 43 characters: see docs/authority.md, "rescind serve", for the command.'
      : `A --certificate is given in base64url, and this is hexadecimal, as openssl -fingerprint prints it. Give ${thumbprint}.`,
  )
}

function introspection(whose: string): NonNullable<NewClient['introspect']> {
  return whose === 'own' || whose === 'none' || whose === 'all' ? whose : whose.split(',')
}

function readKeys(io: Io, file: string): NonNullable<NewClient['jwks']> {
  try {
    return JSON.parse(readFileSync(resolve(io.cwd, file), 'utf8'))
  } catch {
    throw new RescindError(
      'usage',
      `The file ${file} of --jwks cannot be read as a set of public keys: {"keys":[…]}.`,
    )
  }
}

async function list({ output }: Context, { clients }: Core): Promise<void> {
  const all = await clients.list()
  output.result({ clients: all.map(shown) })
  if (all.length === 0) {
    output.say('There is no client yet. Add one with: rescind client add ID')
    return
  }
  const columns = [
    { title: 'client', elastic: true },
    { title: 'proves itself by' },
    { title: 'may use', elastic: true },
    { title: 'scope', elastic: true },
    { title: 'state' },
  ]
  const rows = all.map(({ id, authMethod, grantTypes, scope, enabled }) => [
    ...[id, authMethod, grantTypes.join(' '), scope],
    enabled ? 'enabled' : 'disabled',
  ])
  output.say(renderTextTable(columns, rows, { columns: output.tableColumns }))
}

async function rotate(
  { output, actor }: Context,
  { clients }: Core,
  id: string,
  overlapSeconds: number,
): Promise<void> {
  const secret = await clients.rotateSecret(id, overlapSeconds, byOperator(actor))
  output.result({ client: id, secret: secret.reveal(), overlapSeconds })
  const old =
    overlapSeconds === 0 ? 'is refused from now on' : `is good for ${overlapSeconds} s more`
  output.say(`The client ${id} has a new secret; the old one ${old}.`)
  if (!output.json) output.say(`It is not shown again:\n\n  ${secret.reveal()}`)
}

async function disable({ output, actor }: Context, core: Core, id: string): Promise<void> {
  await core.clients.disable(id, byOperator(actor))
  output.result({ client: id, enabled: false, revoked: true })
  output.say(`The client ${id} is refused from now on, and all that it held is revoked.`)
}

/** A client without the hashes of its secrets. */
function shown({ secrets, version: _, ...client }: Client) {
  return { ...client, secrets: secrets.length }
}

/** Who acted, for the events. */
export function byOperator(actor: string): { readonly actor: string } {
  return { actor: `operator:${actor}` }
}
