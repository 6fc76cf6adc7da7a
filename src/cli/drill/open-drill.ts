import { join } from 'node:path'
import { openReauthorize } from '../../connections/drill/account-lab.ts'
import { browserConsent, whyNoBrowser } from '../../connections/drill/consent/browser.ts'
import type { Consent } from '../../connections/drill/consent/consent.ts'
import { formConsent } from '../../connections/drill/consent/form.ts'
import { linkConsent, PERSON_MS_MAX } from '../../connections/drill/consent/link.ts'
import type { DirectWay, DrillLab, Mode, Witness } from '../../connections/drill/context.ts'
import {
  emulatorControl,
  emulatorMailbox,
  emulatorNight,
  emulatorWitness,
  instanceWitness,
  isEmulator,
} from '../../connections/drill/emulator.ts'
import type { JournalMeans } from '../../connections/drill/journal.ts'
import { openNoticeInbox } from '../../connections/drill/notice-inbox.ts'
import type { Platform } from '../../connections/drill/platform.ts'
import { countingRefreshes, rescindPlatform } from '../../connections/drill/rescind-platform.ts'
import { openVaultLab } from '../../connections/drill/vault-lab.ts'
import { createHealth } from '../../connections/health.ts'
import { createNotices } from '../../connections/notices.ts'
import { createOpenConnectorsClient, orThrow } from '../../connections/open-connectors/client.ts'
import { openConnectorsPlatform } from '../../connections/open-connectors/platform.ts'
import { appOf } from '../../connections/open-connectors/requests.ts'
import type { TracedCall } from '../../connections/open-connectors/trace.ts'
import { createReauthorizing } from '../../connections/reauthorize.ts'
import { createVault } from '../../connections/vault.ts'
import { connectionTenant, type VaultParts } from '../../connections/vault-parts.ts'
import { RescindError } from '../../core/errors.ts'
import type { Http } from '../../core/http.ts'
import type { Secret } from '../../core/secret.ts'
import type { TenantConfig } from '../../providers/provider.ts'
import { findProvider } from '../../providers/registry.ts'
import { createSealer } from '../../store/sealing.ts'
import { openHomeKey } from '../../store/store.ts'
import type { Context } from '../context.ts'
import { openVault } from '../open-vault.ts'
import { tenantsOfClient } from '../tenants-of-client.ts'

export interface DrillTarget {
  readonly connection: string
  readonly via: 'rescind' | 'open-connectors'
  readonly mode: Mode
  /** Of a drill that is gone on with, or named by the command line. */
  readonly tenant?: string | undefined
  /** A process that died may have left a fault in force: it is taken away before anything is asked. */
  readonly isHurt?: boolean
}

/** A connection that is to be drilled, with all that a drill asks. */
export interface OpenTarget {
  readonly tenant: string
  readonly platform: Platform
  readonly direct: DirectWay
  readonly witness: Witness | null
  /** What faults are injected with, in simulated mode. */
  readonly lab: DrillLab | null
  /** Of the platform, which must not stand in anything that is written. */
  readonly secrets: readonly Secret[]
  close(): Promise<void>
}

/**
 * Opens a connection for a drill, in our own vault or in an account of Open Connectors.
 *
 * @throws RescindError `connection_unknown`, `instance_unknown`, `tenant_unknown`, `config_invalid`,
 * `config_missing`, and what asking for it throws
 */
export function openTarget(context: Context, http: Http, target: DrillTarget): Promise<OpenTarget> {
  return target.via === 'rescind'
    ? openOurs(context, http, target)
    : openInstance(context, http, target)
}

async function openOurs(
  context: Context,
  http: Http,
  { connection, mode, tenant: named }: DrillTarget,
): Promise<OpenTarget> {
  const { io, config } = context
  const { clock, random, signal } = io
  const base = await openVault(context)
  const refreshes: number[] = []
  const counted: VaultParts = {
    ...base.parts,
    http,
    tenantOf(name) {
      const tenant = base.parts.tenantOf(name)
      const way = countingRefreshes(tenant.way, (at) => refreshes.push(at), clock.now)
      return { ...tenant, way }
    },
  }
  if (/^\d+$/.test(connection)) throw numberOfInstance(connection)
  // What can fail comes before the inbox: nobody would close that, and the process would not end.
  const { tenant: name } = await createVault(counted).get(connection)
  if (named !== undefined && named !== name) throw otherTenant(connection, name, named)
  const { way, app } = base.parts.tenantOf(name)
  const configured = config.receivers()
  const inbox = await openNoticeInbox(clock)
  const simulated = mode === 'simulated' ? openVaultLab(counted, { connection, inbox }) : undefined
  const parts = simulated?.parts ?? counted
  const vault = createVault(parts)
  // What was told before the drill is no notice of what the drill does.
  const receivers = [...configured, { ...inbox.receiver, from: clock.now() }]
  const notices = createNotices({ store: parts.store, http, clock, random, receivers, signal })
  const platform = rescindPlatform({
    ...{ connection, parts, vault, inbox, refreshes },
    health: createHealth(parts, vault),
    reauthorizing: createReauthorizing(parts, vault),
    sendNotices: async () => void (await notices.send()),
  })
  const provider = mode === 'simulated' ? emulatorControl(app.url, http) : null
  return {
    ...{ platform, tenant: name },
    direct: { way, app, means: { http, signal } },
    witness:
      provider &&
      emulatorWitness(provider, {
        clientId: app.clientId,
        held: async () => (await vault.tokens(connection)).refresh,
      }),
    lab:
      provider && simulated
        ? {
            ...{ provider, account: null, reauthorize: null, vault: simulated.lab },
            stranger: strangerOf(context, http),
          }
        : null,
    secrets: [inbox.receiver.secret, ...configured.map(({ secret }) => secret)],
    close: () => inbox.close(),
  }
}

function otherTenant(connection: string, tenant: string, named: string): RescindError {
  return new RescindError(
    'usage',
    `The connection ${connection} is of the tenant ${tenant}, and not of ${named}. Leave --tenant out.`,
  )
}

function numberOfInstance(number: string): RescindError {
  return new RescindError(
    'connection_unknown',
    `There is no connection "${number.slice(0, 60)}" in our own vault, whose ids begin with con_. A number names an instance of Open Connectors: add --via open-connectors.`,
  )
}

async function openInstance(
  context: Context,
  http: Http,
  { connection, mode, tenant: named, isHurt }: DrillTarget,
): Promise<OpenTarget> {
  const { config, io } = context
  const { clock } = io
  const instance = Number(connection)
  if (!Number.isSafeInteger(instance) || instance < 1) {
    throw new RescindError(
      'usage',
      'An instance of Open Connectors is named by its number: rescind open-connectors list shows it.',
    )
  }
  const settings = config.openConnectors()
  const client = createOpenConnectorsClient(settings, { http, clock })
  const isSimulated = mode === 'simulated'
  const account = isSimulated ? emulatorControl(settings.url, http) : null
  if (isHurt && account && (await isEmulator(account))) await account.tell('calm', {})
  const { elementKey } = orThrow(await client.get(instance), 'show the instance')
  const element = appOf(settings, elementKey)
  const tenant = tenantBehind(context, element.apiKey, named)
  const direct = directWay(context, http, tenant, {
    clientId: element.apiKey,
    clientSecret: element.apiSecret,
    redirectUri: settings.callbackUrl,
    scopes: element.scope?.split(/[\s,]+/) ?? [],
  })
  const store = await context.store()
  const { fingerprint, grantOwners: owners, formerGrants: formers, connections } = store
  const platform = openConnectorsPlatform({
    ...{ client, instance, fingerprint, owners, connections, http, clock },
    ...(account && {
      mailbox: emulatorMailbox(account),
      nightly: emulatorNight(account),
    }),
  })
  return {
    ...{ platform, direct, tenant: tenant.name },
    witness: account && instanceWitness(account, instance),
    lab: account && {
      provider: emulatorControl(direct.app.url, http),
      account,
      reauthorize: openReauthorize({
        ...{ client, http, clock, fingerprint, owners, formers, connections },
      }),
      stranger: strangerOf(context, http),
      vault: null,
    },
    secrets: [settings.userSecret, settings.organizationSecret],
    close: async () => {},
  }
}

/** The tenant that is named, else the only one of the element's app, else the only one. */
function tenantBehind(context: Context, clientId: string, named: string | undefined): TenantConfig {
  const [only, ...more] = tenantsOfClient(context.config, clientId)
  return context.tenant(named ?? (more.length === 0 ? only?.name : undefined))
}

type AppOfElement = Pick<DirectWay['app'], 'clientId' | 'clientSecret' | 'redirectUri' | 'scopes'>

/** The provider behind an element is a tenant of ours, so that it can be asked directly. */
function directWay(
  context: Context,
  http: Http,
  tenant: TenantConfig,
  element: AppOfElement,
): DirectWay {
  const { connection: way } = findProvider(tenant.provider)
  if (way === undefined) connectionTenant(tenant)
  if (way === undefined) throw new Error('a provider without connections was taken')
  const app = { ...element, url: tenant.url, options: tenant.app?.options ?? {} }
  way.checkApp?.(tenant.name, app)
  return { way, app, means: { http, signal: context.io.signal } }
}

/** Another person than the test user, by the forms: what the browser shows of it is nobody's concern. */
function strangerOf({ config }: Context, http: Http): Consent | null {
  const { stranger, allow, deny } = config.drill().consent
  if (Object.keys(stranger).length === 0) return null
  return formConsent(http, { fields: revealed(stranger), allow, deny })
}

function revealed(fields: Readonly<Record<string, Secret>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value.reveal()]))
}

export interface ConsentWish {
  readonly how: 'browser' | 'form' | 'link' | undefined
  readonly target: Pick<OpenTarget, 'platform' | 'direct'>
  readonly keepPicture: (png: Uint8Array) => void
  /** Sees the pages that a browser asks for: it goes its own way out. */
  readonly trace?: ((call: TracedCall) => void) | undefined
}

/**
 * Opens the way to the owner's consent: the one that is asked for, else a browser, else the forms, and a
 * link for a person where there is no test user.
 */
export async function openConsent(
  context: Context,
  http: Http,
  { how, target, keepPicture, trace }: ConsentWish,
): Promise<Consent> {
  const { consent } = context.config.drill()
  const fields = revealed(consent.fields)
  const user = { fields, allow: consent.allow, deny: consent.deny }
  const browser = { program: consent.browser, keepPicture, trace }
  const wanted = how ?? consent.how ?? (await bestWay(context, Object.keys(fields).length > 0))
  switch (wanted) {
    case 'browser':
      return browserConsent(user, browser)
    case 'form':
      return formConsent(http, user)
    case 'link': {
      const show = (url: string, again: string | undefined) =>
        context.output.note(`${askOwner(again)}\n${url}`)
      const { platform, direct } = target
      const { redirectUri } = direct.app
      const { clock } = context.io
      return linkConsent({ clock, http, platform, redirectUri, show, waitMs: PERSON_MS_MAX })
    }
  }
}

function askOwner(again: string | undefined): string {
  if (again === undefined) return 'Open this address as the owner, and consent:'
  return `${again} Open this address as the owner, and consent once more:`
}

async function bestWay({ config, output }: Context, hasUser: boolean) {
  if (!hasUser) return 'link'
  const why = await whyNoBrowser({ program: config.drill().consent.browser })
  if (why === undefined) return 'browser'
  output.note(`${why} The consent goes by the forms of its pages instead.`)
  return 'form'
}

/** Where drills that did not end are kept. */
export async function journalMeans({ config, io }: Context): Promise<JournalMeans> {
  const key = await openHomeKey({ home: config.home, key: io.env.RESCIND_KEY })
  return { folder: join(config.home, 'drills'), sealer: createSealer(key) }
}

/** The key that signs evidence. */
export function evidenceKeyPath({ config }: Pick<Context, 'config'>): string {
  return join(config.home, 'drill-key')
}
