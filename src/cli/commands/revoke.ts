import { Command, Option } from 'commander'
import { EXIT, type ExitCode, RescindError } from '../../core/errors.ts'
import { createHttp, type Http } from '../../core/http.ts'
import { describeOutcome } from '../../core/outcome.ts'
import { describeProof } from '../../core/proof.ts'
import { printableUrl } from '../../core/url.ts'
import { CLIENT_AUTH_METHODS, type ClientAuthMethod } from '../../protocol/client-auth.ts'
import type { Way } from '../../protocol/oauth-request.ts'
import type { ClientWish } from '../../protocol/open-target.ts'
import { PRINT_FORMS, type PrintForm, printRequest } from '../../protocol/print-request.ts'
import { describeRequest, PLACEHOLDERS } from '../../protocol/printable-request.ts'
import type { RevocationTarget } from '../../protocol/revocation-target.ts'
import { TOKEN_TYPE_HINTS, type TokenTypeHint } from '../../protocol/revoke.ts'
import { type Revocation, revokeToken } from '../../protocol/revoke-token.ts'
import { HELD_TOKEN_ADDRESSES, type HeldTokenAddress } from '../../providers/provider.ts'
import { findHeldTokenWay, HELD_TOKEN_PROVIDERS } from '../../providers/registry.ts'
import { rfc7009 } from '../../providers/rfc7009.ts'
import type { Io } from '../io.ts'
import { type CommonOptions, type Output, openOutput, withCommonOptions } from '../output.ts'
import { adviceFor } from '../revoke-advice.ts'
import { printAnyCollection } from '../revoke-collection.ts'
import { checkOneToken, readNamedSecret, readSecretInput } from '../secret-input.ts'

/** One answer; a server that takes longer than a minute is not answering. */
const TIMEOUT_SECONDS_MAX = 60

interface RevokeOptions extends CommonOptions {
  readonly provider: string
  readonly issuer?: string
  readonly endpoint?: string
  readonly introspectionEndpoint?: string
  readonly url?: string
  readonly clientId?: string
  readonly clientAuth?: ClientAuthMethod
  readonly clientSecretEnv?: string
  readonly clientSecretFile?: string
  readonly clientKey?: string
  readonly hint?: TokenTypeHint
  readonly tokenFile?: string
  readonly tokenEnv?: string
  readonly verify?: boolean
  readonly print?: PrintForm
  readonly timeout?: string
}

/** Makes `rescind revoke`: kill one token that is held, at any endpoint, and say what the answer is worth. */
export function revokeCommand(io: Io): Command {
  const command = withCommonOptions(new Command('revoke'))
    .description('kill one token that you hold; it is read from standard input, never an argument')
    .option('--issuer <url>', 'the issuer, whose metadata says where (RFC 8414, OpenID)')
    .option('--endpoint <url>', 'the revocation endpoint itself (RFC 7009)')
    .option('--introspection-endpoint <url>', 'where --verify looks (RFC 7662)')
    .addOption(
      new Option('--provider <id>', 'whose way to speak')
        .choices(HELD_TOKEN_PROVIDERS)
        .default(rfc7009.id),
    )
    .option('--url <url>', 'the host of the provider: https://MyDomain.my.salesforce.com[/site]')
    .option('--client-id <id>', 'the client that the token was issued to')
    .addOption(
      new Option('--client-auth <method>', 'how it authenticates').choices(CLIENT_AUTH_METHODS),
    )
    .option('--client-secret-env <name>', 'the environment variable with the client secret')
    .option('--client-secret-file <file>', 'the file with the client secret')
    .option('--client-key <file>', "the client's private key, PEM or JWK, for private_key_jwt")
    .addOption(new Option('--hint <type>', 'what the token is').choices(TOKEN_TYPE_HINTS))
    .option('--token-file <file>', 'read the token from a file')
    .option('--token-env <name>', 'read the token from an environment variable')
    .option('--verify', 'look at the token before and after, and report what that proves')
    .addOption(
      new Option('--print <form>', 'print the request instead of sending it').choices(PRINT_FORMS),
    )
    .option('--timeout <seconds>', `how long one answer may take, up to ${TIMEOUT_SECONDS_MAX}`)
    // Taken in here, so that no parser repeats a token that somebody typed as an argument.
    .allowUnknownOption()
    .argument('[refused...]')
    .usage('[options]')
  return command.action(async (refused: readonly string[], options: RevokeOptions) => {
    refuseArguments(refused)
    const output = openOutput(io, options)
    const timeoutMs = parseTimeout(options.timeout)
    const http = createHttp({ clock: io.clock, acceptRisk: options.acceptRisk, timeoutMs })
    try {
      if (options.print) await print(options, options.print, output, io, http)
      else await revoke(options, output, io, http)
    } catch (error) {
      throw io.signal.aborted ? stopped(error) : error
    } finally {
      await http.close()
    }
  })
}

async function revoke(options: RevokeOptions, output: Output, io: Io, http: Http): Promise<void> {
  const way: Way = { fetch: http.fetch, signal: io.signal }
  checkOptions(options)
  // The secrets are read first: a person at a terminal is asked before anything is sent.
  const wish = await readClient(io, options)
  const named = { file: options.tokenFile, env: options.tokenEnv }
  const token = checkOneToken(
    (await readNamedSecret(io, named, 'token (--token-file, --token-env)')) ??
      (await readSecretInput(io, 'token')),
  )
  const target = await openTarget(options, wish, way)
  const { verify, hint } = options
  const done = await revokeToken(target, { token, hint }, way, {
    verify,
    clock: io.clock,
    notice: output.note,
  })
  report(done, target, output, adviceFor(done, token, verify === true))
  io.exitCode = exitCodeOf(done, verify === true)
}

function stopped(cause: unknown): RescindError {
  const message =
    'Stopped. The revocation may have been sent; sending it again does no harm: run the command again, with --verify.'
  return new RescindError('stopped_by_signal', message, { cause })
}

async function print(
  options: RevokeOptions,
  form: PrintForm,
  output: Output,
  io: Io,
  http: Http,
): Promise<void> {
  const text = saysWhere(options)
    ? await printOne(options, form, { fetch: http.fetch, signal: io.signal })
    : await printAny(form)
  if (output.json) output.result({ form, text })
  else io.stdout.write(text)
}

async function printOne(options: RevokeOptions, form: PrintForm, way: Way): Promise<string> {
  checkOptions(options)
  const target = await openTarget(options, placeholderClient(options), way)
  const request = await target.build({ token: PLACEHOLDERS.token, hint: options.hint })
  return printRequest(describeRequest(request), form)
}

async function printAny(form: PrintForm): Promise<string> {
  if (form === 'postman') return await printAnyCollection()
  throw new RescindError(
    'usage',
    'Say where: --issuer URL, --endpoint URL, or --provider with --url.',
  )
}

function openTarget(options: RevokeOptions, client: ClientWish, way: Way) {
  const { issuer, endpoint, introspectionEndpoint, url, acceptRisk } = options
  const wish = { issuer, endpoint, introspectionEndpoint, url, acceptRisk, ...client }
  return findHeldTokenWay(options.provider).openTarget(wish, way)
}

function saysWhere(options: RevokeOptions): boolean {
  const { issuer, endpoint, url } = options
  return issuer !== undefined || endpoint !== undefined || url !== undefined
}

/** What a provider does not take is refused, lest it be thought to have had an effect. */
function checkOptions(options: RevokeOptions): void {
  const { addresses, sayWhere } = findHeldTokenWay(options.provider)
  const given = HELD_TOKEN_ADDRESSES.filter((address) => options[address] !== undefined)
  const foreign = given.find((address) => !addresses.includes(address))
  if (foreign !== undefined) {
    const own = addresses.map(optionOf).join(', ')
    const others = HELD_TOKEN_PROVIDERS.filter((id) =>
      findHeldTokenWay(id).addresses.includes(foreign),
    )
    throw new RescindError(
      'usage',
      `${optionOf(foreign)} goes with --provider ${others.join(', ')}. With --provider ${options.provider} say where by ${own}.`,
    )
  }
  if (given.length === 0) throw new RescindError('usage', sayWhere)
}

function optionOf(address: HeldTokenAddress): string {
  return `--${address.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

async function readClient(io: Io, options: RevokeOptions): Promise<ClientWish> {
  const secret = { env: options.clientSecretEnv, file: options.clientSecretFile }
  return {
    clientId: options.clientId,
    clientAuth: options.clientAuth,
    clientSecret: await readNamedSecret(
      io,
      secret,
      'client secret (--client-secret-env, --client-secret-file)',
    ),
    clientKey: await readNamedSecret(io, { file: options.clientKey }, 'client key (--client-key)'),
  }
}

/** The client of a printed request: the kind of secret that the options name, and no secret read. */
function placeholderClient(options: RevokeOptions): ClientWish {
  const { clientId, clientAuth } = options
  const key = options.clientKey !== undefined || clientAuth === 'private_key_jwt'
  const secret =
    (options.clientSecretEnv ?? options.clientSecretFile) !== undefined ||
    clientAuth === 'client_secret_basic' ||
    clientAuth === 'client_secret_post'
  return {
    clientId,
    clientAuth,
    clientSecret: secret ? PLACEHOLDERS.clientSecret : undefined,
    clientAssertion: key ? PLACEHOLDERS.clientAssertion : undefined,
  }
}

/** An unknown option may carry a secret after "=", and an argument may be one: neither is repeated. */
function refuseArguments(args: readonly string[]): void {
  const [first] = args
  if (first === undefined) return
  const option = /^--[a-z][a-z-]{0,30}(?==|$)/.exec(first)?.[0]
  if (option && !/^--(token|client-secret|secret|password)$/.test(option)) {
    throw new RescindError('usage', `There is no option ${option}. See: rescind revoke --help`)
  }
  throw new RescindError(
    'usage',
    'A token or secret is never taken as an argument, where other users and the shell history see it: pipe the token in, or use --token-file or --token-env (--client-secret-env for the secret). If it was typed here, it may be in your history.',
  )
}

function parseTimeout(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const seconds = Number(text)
  if (seconds > 0 && seconds <= TIMEOUT_SECONDS_MAX) return seconds * 1000
  throw new RescindError(
    'usage',
    `--timeout takes a number of seconds, more than 0 and up to ${TIMEOUT_SECONDS_MAX}.`,
  )
}

function report(
  done: Revocation,
  target: RevocationTarget,
  output: Output,
  advice: readonly string[],
): void {
  const { outcome, proof, dead, code, attempts, verification } = done
  const endpoint = printableUrl(target.endpoint)
  const paint = dead ? output.color.green : output.color.yellow
  output.say(`${paint(output.color.bold(outcome))}: ${describeOutcome(outcome)}`)
  output.say(`  at       ${endpoint}`)
  output.say(`  answer   ${code}${attempts > 1 ? `, after ${attempts} attempts` : ''}`)
  if (done.description) output.say(`  it says  ${done.description}`)
  output.say(`  proof    ${proof}: ${describeProof(proof)}`)
  if (verification) output.say(`  looks    ${verification.why}`)
  for (const line of advice) output.say(line)
  output.result({
    outcome,
    proof,
    dead,
    code,
    description: done.description ?? null,
    endpoint,
    attempts,
    retryAfterMs: done.retryAfterMs ?? null,
    verification: verification ?? null,
    advice,
  })
}

/** 0: proven dead, or acknowledged where nobody asked for proof. 3: our credential. 5: the rest. */
export function exitCodeOf(done: Revocation, verify: boolean): ExitCode {
  if (done.dead) return EXIT.ok
  if (done.credentialTrouble) return EXIT.denied
  return !verify && done.outcome === 'revoked' ? EXIT.ok : EXIT.notProven
}
