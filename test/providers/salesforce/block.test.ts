import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type SalesforceOptions,
  type SalesforceOrg,
  startSalesforce,
} from '../../../emulators/index.ts'
import { createHttp, type Http } from '../../../src/core/http.ts'
import type { AppRow, BlockAnswer, ProviderSession } from '../../../src/providers/provider.ts'
import {
  childrenOf,
  childText,
  element,
  findAll,
  nameOf,
  parseSoapBody,
  withChild,
  writeSoap,
} from '../../../src/providers/salesforce/metadata-xml.ts'
import { type Bench, createBench, passwordLogin, take, tenantOf } from './session-fixture.ts'

let org: SalesforceOrg
let bench: Bench
let session: ProviderSession
let apps: ReadonlyMap<string, AppRow>

async function start(
  switches: SalesforceOptions['switches'] = {},
  options: Readonly<Record<string, unknown>> = {},
) {
  org = await startSalesforce({ seed: 51, size: { users: 60, apps: 16, tokens: 500 }, switches })
  bench = await createBench()
  session = await bench.open(tenantOf(org, passwordLogin(org), options))
  apps = (await take(session)).apps
}
beforeEach(() => {
  kept = []
  return start()
})
afterEach(async () => {
  await org.close()
  await bench[Symbol.asyncDispose]()
})

const appOf = (label: string): AppRow => {
  const app = [...apps.values()].find((one) => one.label === label)
  if (!app) throw new Error(`no app ${label}`)
  return app
}
let kept: unknown[] = []
const keep = (undo: unknown) => void kept.push(undo)
const block = (label: string) => session.block?.(appOf(label), keep) as Promise<BlockAnswer>
const unblock = (undo: unknown) => session.unblock?.(undo) as Promise<BlockAnswer>
const isBlocked = (label: string) =>
  org.truth.apps().find((app) => app.applicationId === appOf(label).id)?.blocked

describe('blocking an app by its session policy', () => {
  it.each([
    ['a connected app', 'Drift'],
    ['an external client app', 'Gainsight Connector'],
  ])('%s is put out, and let in again as it was', async (_title, label) => {
    const answer = await block(label)
    expect(answer).toMatchObject({ done: true, app: appOf(label).id })
    expect(isBlocked(label)).toBe(true)
    expect(JSON.stringify(answer.undo)).not.toMatch(/consumerKey|3MVG/)
    expect(kept).toEqual([answer.undo])
    expect(await unblock(JSON.parse(JSON.stringify(answer.undo)))).toMatchObject({ done: true })
    expect(isBlocked(label)).toBe(false)
  })

  it('of two apps with one label puts out the one that was meant', async () => {
    const [first, second] = [...apps.values()].filter(({ label }) => label === 'Reporting')
    if (!first || !second) throw new Error('not two')
    await session.block?.(second, keep)
    const blocked = org.truth.apps().filter((app) => app.blocked)
    expect(blocked.map(({ applicationId }) => applicationId)).toEqual([second.id])
  })

  it('that is blocked already changes nothing, and has nothing to undo', async () => {
    await block('Drift')
    const answer = await block('Drift')
    expect(answer).toEqual({
      app: appOf('Drift').id,
      done: true,
      text: 'Drift is blocked already.',
    })
  })

  it.each([
    ['an uninstalled app', 'Dataloader Partner', /not installed.*click Install.*then Block/],
    ['the app that we are logged in with', 'Rescind', /logged in with; it is not put out/],
  ])('%s: says what a person must do', async (_title, label, text) => {
    expect(await block(label)).toMatchObject({ done: false, text: expect.stringMatching(text) })
    expect(org.blockedApps()).toEqual([])
  })

  it('an update that was accepted and did not take is not called done', async () => {
    org.setFaults([{ kind: 'ok_without_effect', on: 'soap-metadata' }])
    const answer = await block('Drift')
    expect(answer).toMatchObject({ done: false, text: expect.stringMatching(/does not show it/) })
    expect(isBlocked('Drift')).toBe(false)
  })

  it('an undo record of another org, or of nothing, is refused', async () => {
    const { undo } = await block('Drift')
    const foreign = { ...(undo as object), org: '00D000000000001AAA' }
    await expect(unblock(foreign)).rejects.toMatchObject({ code: 'usage' })
    await expect(unblock({})).rejects.toMatchObject({ code: 'usage' })
    expect(isBlocked('Drift')).toBe(true)
  })

  it.each([
    ['a maintenance page with 503', 503],
    ['a page with 500', 500],
    ['a page with 404', 404],
  ])('%s is trouble of the day, and no wrong address', async (_title, status) => {
    const http = createHttp()
    const page = { status, headers: {}, body: '<html>', retryAfterMs: undefined, elapsedMs: 1 }
    const send: Http['send'] = async (request) =>
      String(request.url).includes('/services/Soap/m/') ? page : http.send(request)
    await using other = await createBench({ http: { ...http, send } })
    const down = await other.open(tenantOf(org, passwordLogin(org)))
    await expect(down.block?.(appOf('Drift'), keep)).rejects.toMatchObject({
      code: 'provider_busy',
      message: expect.stringMatching(/Metadata API answered HTTP \d+. Try again later/),
    })
    await http.close()
  })

  it('after the list of apps could not be read once, reads it again', async () => {
    const fresh = await bench.open({ ...tenantOf(org, passwordLogin(org)), name: 'fresh' })
    org.setFaults([{ kind: 'unavailable_503', on: 'query' }])
    await expect(fresh.block?.(appOf('Drift'), keep)).rejects.toMatchObject({
      code: 'provider_busy',
    })
    org.setFaults([])
    expect(await fresh.block?.(appOf('Drift'), keep)).toMatchObject({ done: true })
  })

  it('without permission: one sentence with what is missing', async () => {
    const limited = await bench.open({ ...tenantOf(org, passwordLogin(org, 'limited')), name: 'l' })
    await expect(limited.block?.(appOf('Drift'), keep)).rejects.toMatchObject({
      code: 'not_permitted',
      message: expect.stringMatching(/Customize Application, and Modify All Data/),
    })
  })
})

describe('blocking, where the documentation is silent', () => {
  it.each<[string, SalesforceOptions['switches'], Readonly<Record<string, unknown>>]>([
    ['the org wants a session level, and says so', { blockNeedsSessionLevel: true }, {}],
    [
      'the session level is set at once',
      { blockNeedsSessionLevel: true },
      { blockWithSessionLevel: true },
    ],
    ['an update merges into what is there', { metadataUpdate: 'merges' }, {}],
  ])('%s', async (_title, switches, options) => {
    await org.close()
    await bench[Symbol.asyncDispose]()
    await start(switches, options)
    const answer = await block('Drift')
    expect(answer.done).toBe(true)
    expect(isBlocked('Drift')).toBe(true)
    expect((await unblock(answer.undo)).done).toBe(true)
    expect(isBlocked('Drift')).toBe(false)
  })
})

describe('the undo record of a block', () => {
  it('is kept before the change is sent: where it cannot be, nothing is sent', async () => {
    const full = new Error('no space left')
    const keeping = session.block?.(appOf('Drift'), () => {
      expect(isBlocked('Drift')).toBe(false)
      throw full
    })
    await expect(keeping).rejects.toBe(full)
    expect(isBlocked('Drift')).toBe(false)
  })

  it('is not kept for an app that no call can block', async () => {
    expect(await block('Dataloader Partner')).toMatchObject({ done: false })
    expect(kept).toEqual([])
  })
})

describe('XML of the Metadata API', () => {
  it('escapes what it writes, and reads it back', () => {
    const name = `A<b> & "c" 'd' ]]>`
    const xml = writeSoap('00D!x<y', 'readMetadata', [element('fullNames', name)])
    expect(xml).not.toContain('<b>')
    const [read] = parseSoapBody(xml)
    expect(read && childText(read, 'fullNames')).toBe(name)
  })

  it('keeps numbers, blanks and attributes of a record as they are', () => {
    const xml =
      '<e:Envelope xmlns:e="x"><e:Body><r><v>0012.50</v><n xsi:nil="true"/><t>true</t></r></e:Body></e:Envelope>'
    const [record] = parseSoapBody(xml)
    if (!record) throw new Error('no record')
    expect(childText(record, 'v')).toBe('0012.50')
    const written = writeSoap('s', 'update', childrenOf(record))
    expect(written).toContain('<v>0012.50</v>')
    expect(written).toMatch(/<n xsi:nil="true">?/)
  })

  it('expands no entity of a document type', () => {
    const xml =
      '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Envelope><Body><r><v>&f;</v></r></Body></Envelope>'
    const text = (() => {
      try {
        return JSON.stringify(parseSoapBody(xml))
      } catch {
        return 'refused'
      }
    })()
    expect(text).not.toContain('root:')
  })

  it.each([['<html><body>hello'], [''], ['{"a":1}'], ['<Envelope/>']])('%s is no answer', (xml) => {
    expect(() => parseSoapBody(xml)).toThrow(expect.objectContaining({ code: 'answer_invalid' }))
  })

  it('puts a new element where the order of names wants it, after fullName', () => {
    const children = ['fullName', 'contactEmail', 'label', 'startUrl'].map((name) =>
      element(name, 'x'),
    )
    const names = withChild(children, 'sessionPolicy', element('sessionPolicy', 'y')).map(nameOf)
    expect(names).toEqual(['fullName', 'contactEmail', 'label', 'sessionPolicy', 'startUrl'])
    expect(withChild(children, 'label', null).map(nameOf)).not.toContain('label')
    expect(findAll(children, 'label')).toHaveLength(1)
  })
})
