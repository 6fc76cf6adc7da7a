import { AsyncLocalStorage } from 'node:async_hooks'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { aroundEach, expect, type TestContext } from 'vitest'
import {
  type OpenConnectorsAccount,
  type OpenConnectorsOptions,
  type SalesforceOptions,
  type SalesforceOrg,
  startOpenConnectors,
  startSalesforce,
} from '../../../emulators/index.ts'
import { openReauthorize } from '../../../src/connections/drill/account-lab.ts'
import type { Consent } from '../../../src/connections/drill/consent/consent.ts'
import { formConsent } from '../../../src/connections/drill/consent/form.ts'
import type {
  DirectWay,
  DrillLab,
  DrillLimits,
  Mode,
  Witness,
} from '../../../src/connections/drill/context.ts'
import { runDrill } from '../../../src/connections/drill/drill.ts'
import {
  emulatorControl,
  emulatorMailbox,
  emulatorNight,
  emulatorWitness,
  instanceWitness,
} from '../../../src/connections/drill/emulator.ts'
import type { EvidenceRecord } from '../../../src/connections/drill/evidence.ts'
import {
  continueEvidence,
  createEvidence,
  isEvidenceGone,
} from '../../../src/connections/drill/evidence-file.ts'
import { openEvidenceKey } from '../../../src/connections/drill/evidence-key.ts'
import { DRILL_TAG } from '../../../src/connections/drill/guards.ts'
import {
  type DrillAbout,
  listUnfinished,
  openJournal,
  resumeJournal,
} from '../../../src/connections/drill/journal.ts'
import { type NoticeInbox, openNoticeInbox } from '../../../src/connections/drill/notice-inbox.ts'
import type { Depth, Platform } from '../../../src/connections/drill/platform.ts'
import {
  countingRefreshes,
  rescindPlatform,
} from '../../../src/connections/drill/rescind-platform.ts'
import type { DrillOptions } from '../../../src/connections/drill/run.ts'
import { openVaultLab } from '../../../src/connections/drill/vault-lab.ts'
import { createHealth } from '../../../src/connections/health.ts'
import { createNotices } from '../../../src/connections/notices.ts'
import {
  createOpenConnectorsClient,
  orThrow,
} from '../../../src/connections/open-connectors/client.ts'
import { openConnectorsPlatform } from '../../../src/connections/open-connectors/platform.ts'
import {
  DEFAULT_OPEN_CONNECTORS_SWITCHES,
  type OpenConnectorsSettings,
} from '../../../src/connections/open-connectors/settings.ts'
import { createReauthorizing } from '../../../src/connections/reauthorize.ts'
import { createVault } from '../../../src/connections/vault.ts'
import type { VaultParts } from '../../../src/connections/vault-parts.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { createHttp, type Http } from '../../../src/core/http.ts'
import { type Fingerprinter, fingerprinter, Secret } from '../../../src/core/secret.ts'
import { type ConnectionApp, traitsOf } from '../../../src/providers/connection-way.ts'
import { oauth2 } from '../../../src/providers/oauth2.ts'
import type { TenantConfig } from '../../../src/providers/provider.ts'
import { salesforceConnection } from '../../../src/providers/salesforce/connection-way.ts'
import { createSealer } from '../../../src/store/sealing.ts'
import { newId } from '../../../src/store/store.ts'
import { type OpenVault, openVault, type VaultProcess } from '../world.ts'
import { PLAIN_USER, type PlainServer, type Revoking, startPlainServer } from './plain-server.ts'

/** Nothing is listened at: the consent ends where it would be sent there. */
export const CALLBACK = 'http://127.0.0.1:4711/callback'
const KEY = Buffer.alloc(32, 7)
export const fingerprint = fingerprinter(KEY)
export const sealer = createSealer(KEY)

/** Short enough for a test, long enough for a machine that does other things. */
export const LIMITS: DrillLimits = {
  detectMs: 4_000,
  notifyMs: 4_000,
  recoverMs: 20_000,
  falseHealthyMs: 4_000,
  loadMs: 700,
}

function fieldsOf({ username, password }: { username: string; password: string }) {
  return { username, password }
}

/** Tests of a file run at once: what one opens ends with that one. */
const running = new AsyncLocalStorage<TestContext>()
aroundEach((test, context) => running.run(context, test))

function onTestFinished(close: () => Promise<void>): void {
  const test = running.getStore()
  if (test === undefined) throw new Error('a world is opened by a test')
  test.onTestFinished(close)
}

/** What a drill takes of a world. */
export interface DrillWorld {
  readonly http: Http
  readonly folder: string
  readonly app: ConnectionApp
  readonly direct: DirectWay
  readonly user: { readonly id: string }
  readonly consent: Consent
  readonly witness?: Witness
  readonly fingerprint?: Fingerprinter
  readonly lab?: DrillLab
  /** Simulated unless told. */
  readonly mode?: Mode
}

export interface OrgWorld extends DrillWorld {
  readonly org: SalesforceOrg
  readonly user: { readonly id: string; readonly username: string; readonly password: string }
  /** Another person who logs in. */
  readonly other: Consent
  /** Gets tokens of the drilled user, or of another, by a consent of its own. */
  grant(consent?: Consent): Promise<{ readonly access: Secret; readonly refresh: Secret }>
}

/** Starts an org in which a user's connections are drilled. Everything ends with the test. */
export async function openOrgWorld(
  options: SalesforceOptions & {
    readonly client?: 'connected' | 'rotating'
    readonly grantsApart?: boolean
  } = {},
): Promise<OrgWorld> {
  const { client = 'connected', grantsApart = true, ...rest } = options
  const org = await startSalesforce({
    seed: 23,
    size: { users: 40, apps: 16, tokens: 300 },
    ...rest,
  })
  const http = createHttp()
  const folder = mkdtempSync(join(tmpdir(), 'rescind-drill-'))
  onTestFinished(async () => {
    await http.close()
    await org.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const { clientId, clientSecret } = org.credentials[client]
  const app: ConnectionApp = {
    url: org.url,
    clientId,
    clientSecret: new Secret(clientSecret),
    redirectUri: CALLBACK,
    scopes: ['api', 'id', 'refresh_token'],
    options: {
      appName: org.truth.apps().find(({ appId }) => appId === clientId)?.label,
      rotation: client === 'rotating' ? 'always' : 'never',
      grantsApart,
    },
  }
  const { userId: id, username, password } = org.credentials.limited
  const consent = formConsent(http, { fields: { username, password } })
  const other = formConsent(http, { fields: fieldsOf(org.credentials.admin) })
  const direct = { way: salesforceConnection, app, means: { http } }
  const grant = async (by = consent) => {
    const state = new Secret('of-the-grant')
    const verifier = new Secret('v'.repeat(43))
    const challenge = Buffer.from(
      await crypto.subtle.digest('SHA-256', Buffer.from(verifier.reveal())),
    ).toString('base64url')
    const request = { state: state.reveal(), challenge, force: false }
    const url = await salesforceConnection.authorizationUrl(app, request, { http })
    const { callback } = await by.visit({ url, state, redirectUri: CALLBACK }, 'allow')
    const code = callback?.code ?? new Secret('')
    const { tokens } = await salesforceConnection.redeem(app, { code, verifier }, { http })
    if (tokens?.refreshToken == null) throw new Error('the org gave no refresh token')
    return { access: tokens.accessToken, refresh: tokens.refreshToken }
  }
  return { org, http, folder, app, direct, consent, other, grant, user: { id, username, password } }
}

export interface AccountWorld extends OrgWorld {
  readonly account: OpenConnectorsAccount
  readonly settings: OpenConnectorsSettings
  readonly instance: number
  readonly platform: Platform
  readonly witness: Witness
}

/** Starts an account of Open Connectors beside the org, with an instance that may be drilled. */
export async function openAccountWorld(
  options: Partial<OpenConnectorsOptions> = {},
  orgOptions: Parameters<typeof openOrgWorld>[0] = {},
): Promise<AccountWorld> {
  const world = await openOrgWorld(orgOptions)
  const { org, http, app } = world
  const account = await startOpenConnectors({
    salesforceUrl: org.url,
    refreshRetryMs: 60,
    ...options,
    switches: { clientSecretInOauthUrl: true, ...options.switches },
  })
  onTestFinished(() => account.close())
  const settings: OpenConnectorsSettings = {
    url: account.apiUrl,
    userSecret: new Secret(account.credentials.userSecret),
    organizationSecret: new Secret(account.credentials.organizationSecret),
    callbackUrl: CALLBACK,
    elements: {
      sfdc: {
        apiKey: app.clientId,
        apiSecret: app.clientSecret ?? new Secret(''),
        scope: app.scopes.join(' '),
        siteAddress: null,
        probePath: '/hubs/crm/accounts?pageSize=1',
        consentHosts: [],
        secrets: {},
      },
    },
    switches: DEFAULT_OPEN_CONNECTORS_SWITCHES,
  }
  const client = createOpenConnectorsClient(settings, { http, clock: systemClock })
  const make = async (name: string, tags: readonly string[], by: Consent) => {
    const state = new Secret(name)
    const url = orThrow(await client.consentUrl('sfdc', state), 'give a link')
    const { callback } = await by.visit({ url, state, redirectUri: CALLBACK }, 'allow')
    const wish = { element: 'sfdc', name, tags, code: callback?.code ?? state }
    return orThrow(await client.create(wish), 'make an instance')
  }
  await make('Somebody else', [], world.other)
  const { id: instance } = await make('Drilled', [DRILL_TAG], world.consent)
  const control = emulatorControl(account.url, http)
  const platform = openConnectorsPlatform({
    ...{ client, instance, fingerprint, http, clock: systemClock },
    mailbox: emulatorMailbox(control),
    nightly: emulatorNight(control),
  })
  return {
    ...world,
    account,
    settings,
    instance,
    platform,
    witness: instanceWitness(control, instance),
    lab: {
      provider: emulatorControl(org.url, http),
      account: control,
      reauthorize: openReauthorize({ client, http, clock: systemClock, fingerprint }),
      stranger: world.other,
      vault: null,
    },
  }
}

export interface DrillWish {
  readonly depth: Depth
  readonly platform: Platform
  readonly limits?: Partial<DrillLimits>
  readonly consent?: Consent
  readonly signal?: AbortSignal
  readonly allowedUsers?: readonly string[]
  readonly more?: Partial<DrillOptions>
}

export interface Drilled {
  readonly verdict: 'passed' | 'failed'
  readonly failedAt: number | null
  readonly records: readonly EvidenceRecord[]
  readonly file: string
  readonly text: string
  readonly about: DrillAbout
  step(no: number): EvidenceRecord | undefined
}

/** Runs one drill in a world. */
export async function drill(world: DrillWorld, wish: DrillWish): Promise<Drilled> {
  const { folder, http, direct, app, user, mode = 'simulated' } = world
  const evidencePath = join(folder, `${newId('drl')}.jsonl`)
  const about: DrillAbout = {
    ...{ drill: newId('drl'), subject: 'drilled', via: wish.platform.name, depth: wish.depth },
    ...{ mode, evidence: evidencePath },
    begunWith: { limits: LIMITS, ownerConsent: null, consent: 'form' },
  }
  const journal =
    wish.more?.journal ?? openJournal(about, { folder: join(folder, 'drills'), sealer })
  const signer = openEvidenceKey(join(folder, 'drill-key'))
  const evidence =
    wish.more?.evidence ?? createEvidence(evidencePath, { signer, clock: systemClock })
  const end = await runDrill({
    context: {
      platform: wish.platform,
      direct,
      consent: wish.consent ?? world.consent,
      rules: {
        depth: wish.depth,
        limits: { ...LIMITS, ...wish.limits },
        traits: traitsOf(direct.way, app),
        habits: wish.platform.habits,
        consentHosts: [new URL(app.url).host],
        clientId: app.clientId,
        redirectUri: app.redirectUri,
      },
      witness:
        world.witness ??
        emulatorWitness(emulatorControl(app.url, http), {
          clientId: app.clientId,
          held: async () => (await wish.platform.tokens()).refresh,
        }),
      clock: systemClock,
      fingerprint: world.fingerprint ?? fingerprint,
      signal: wish.signal,
      lab: world.lab ?? null,
    },
    journal,
    evidence,
    signer,
    permission: {
      mode,
      allowedUsers: wish.allowedUsers ?? [user.id],
      ownerConsent: null,
    },
    actor: 'test@here',
    ...wish.more,
  })
  const text = readFileSync(evidence.path, 'utf8')
  const { records } = evidence
  const step = (no: number) => records.findLast((one) => one.kind === 'step' && one.step === no)
  return { ...end, records, file: evidence.path, text, about: journal.about, step }
}

/** Goes on with the one drill of a world that did not end. */
export async function resume(world: DrillWorld, wish: Omit<DrillWish, 'depth'>): Promise<Drilled> {
  const means = { folder: join(world.folder, 'drills'), sealer }
  const [unfinished] = listUnfinished(means.folder)
  if (unfinished === undefined) throw new Error('no drill is to be resumed')
  const { journal, memory, secrets } = resumeJournal(unfinished.about.drill, means)
  if (memory === null) throw new Error('the drill wrote nothing down')
  const signer = openEvidenceKey(join(world.folder, 'drill-key'))
  const path = journal.about.evidence
  const open = isEvidenceGone(path) ? createEvidence : continueEvidence
  const evidence = open(path, { signer, clock: systemClock })
  const more = { journal, evidence, resumed: { memory, secrets }, ...wish.more }
  return drill(world, { ...wish, depth: journal.about.depth, more })
}

/** Lists each step with its verdict and reason, for a failure's message. */
export function story(drilled: Drilled): string {
  return drilled.records
    .filter(({ kind }) => kind === 'step' || kind === 'end')
    .map(({ step, name, verdict, why }) => `${step} ${name}: ${verdict} – ${why}`)
    .join('\n')
}

export interface VaultWorld extends OrgWorld {
  readonly vault: VaultProcess
  readonly inbox: NoticeInbox
  readonly connection: string
  readonly platform: Platform
}

/** Keeps connections of the org in a vault of our own, one of which may be drilled. */
export async function openVaultWorld(
  options: Partial<OpenVault> = {},
  orgOptions: Parameters<typeof openOrgWorld>[0] = {},
): Promise<VaultWorld> {
  return openVaultOf(await openOrgWorld(orgOptions), options)
}

/** Opens two vaults of one app in one org, in each of which another person's connection may be drilled. */
export async function openTwoVaults(): Promise<readonly [VaultWorld, VaultWorld]> {
  const world = await openOrgWorld()
  const { org, folder, consent, other } = world
  const { userId: id, username, password } = org.credentials.admin
  const second: OrgWorld = {
    ...{ ...world, folder: join(folder, 'second'), user: { id, username, password } },
    ...{ consent: other, other: consent },
    grant: (by = other) => world.grant(by),
  }
  return [await openVaultOf(world), await openVaultOf(second)]
}

async function openVaultOf(world: OrgWorld, options: Partial<OpenVault> = {}): Promise<VaultWorld> {
  const kept = await keepInVault(world, 'salesforce', options)
  const { vault, make } = kept
  await make('somebody else', [], world.other)
  const connection = await make('acme', [DRILL_TAG], world.consent)
  const { lab, ...drilled } = kept.drilled(connection)
  return {
    ...{ ...world, vault, ...drilled },
    lab: {
      provider: emulatorControl(world.app.url, world.http),
      account: null,
      reauthorize: null,
      stranger: world.other,
      vault: { ...lab, connection },
    },
  }
}

/** Opens a vault of our own for grants of a world. */
async function keepInVault(
  world: Pick<OrgWorld, 'app' | 'folder' | 'grant'>,
  provider: TenantConfig['provider'],
  options: Partial<OpenVault> = {},
) {
  const { app, folder } = world
  const { url, ...settings } = app
  const base = { name: 'org', provider, url, login: {}, options: {} } as const
  const tenant: TenantConfig = { ...base, app: settings }
  const tenants: readonly TenantConfig[] = [
    tenant,
    { ...tenant, name: 'same-app' },
    { ...tenant, name: 'another-app', app: { ...settings, clientId: 'another' } },
  ]
  const process = await openVault({ home: join(folder, 'home'), tenants, ...options })
  const refreshes: number[] = []
  const { tenantOf } = process.parts
  const counted: VaultParts = {
    ...process.parts,
    tenantOf: (name) => {
      const found = tenantOf(name)
      const sent = (at: number) => void refreshes.push(at)
      return { ...found, way: countingRefreshes(found.way, sent, () => Date.now()) }
    },
  }
  const inbox = await openNoticeInbox(systemClock)
  const found: string[] = []
  const { parts, lab } = openVaultLab(counted, {
    inbox,
    get connection() {
      return found[0] ?? ''
    },
  })
  const vault = createVault(parts)
  const health = createHealth(parts, vault)
  const notices = createNotices({
    ...{ store: parts.store, http: parts.http, clock: systemClock, random: Math.random },
    ...{ receivers: [inbox.receiver], signal: new AbortController().signal },
  })
  onTestFinished(async () => {
    await inbox.close()
    await process[Symbol.asyncDispose]()
  })
  const make = async (owner: string, tags: readonly string[], by?: Consent) => {
    const { access, refresh } = await world.grant(by)
    const wish = { tenant: 'org', owner, tags, accessToken: access, refreshToken: refresh }
    return (await vault.create(wish)).id
  }
  const drilled = (connection: string) => {
    found.push(connection)
    const platform = rescindPlatform({
      ...{ connection, parts, vault, health, inbox, refreshes },
      reauthorizing: createReauthorizing(parts, vault),
      sendNotices: async () => void (await notices.send()),
    })
    return { connection, platform, inbox, lab, fingerprint: process.store.fingerprint }
  }
  return { vault: { ...process, parts, vault, health }, make, drilled }
}

export interface PlainWorld extends DrillWorld {
  readonly server: PlainServer
  readonly vault: VaultProcess
  readonly connection: string
  readonly platform: Platform
}

/** Keeps a connection of a plain OAuth 2.0 server in a vault of our own; the drill takes it for real. */
export async function openPlainWorld(
  options: Readonly<Record<string, unknown>>,
  revoking: Partial<Revoking> = {},
): Promise<PlainWorld> {
  const server = await startPlainServer(revoking)
  const http = createHttp()
  const folder = mkdtempSync(join(tmpdir(), 'rescind-drill-'))
  onTestFinished(async () => {
    await http.close()
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const app: ConnectionApp = {
    ...{ url: server.url, clientId: 'app', clientSecret: new Secret('of-the-app') },
    ...{ redirectUri: CALLBACK, scopes: ['openid'], options },
  }
  const grant = async () => {
    const { access, refresh } = server.grant()
    return { access: new Secret(access), refresh: new Secret(refresh) }
  }
  const kept = await keepInVault({ app, folder, grant }, 'oauth2')
  const { lab: _, ...drilled } = kept.drilled(await kept.make('acme', [DRILL_TAG]))
  return {
    ...{ server, http, folder, app, vault: kept.vault, ...drilled },
    direct: { way: oauth2.connection ?? expect.unreachable(), app, means: { http } },
    user: { id: PLAIN_USER },
    consent: formConsent(http, { fields: { username: PLAIN_USER, password: 'of-the-user' } }),
    witness: { refreshes: async (since) => server.refreshes(since) },
    mode: 'sandbox',
  }
}
