import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { getRequestListener } from '@hono/node-server'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createConnectionsApi } from '../../../src/connections/api.ts'
import type { Consent } from '../../../src/connections/drill/consent/consent.ts'
import { type LinkMeans, linkConsent } from '../../../src/connections/drill/consent/link.ts'
import { listUnfinished } from '../../../src/connections/drill/journal.ts'
import type { Platform, PlatformSnapshot } from '../../../src/connections/drill/platform.ts'
import { whereItStands } from '../../../src/connections/drill/standing.ts'
import { createReauthorizing } from '../../../src/connections/reauthorize.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { RescindError } from '../../../src/core/errors.ts'
import { Secret } from '../../../src/core/secret.ts'
import {
  CALLBACK,
  drill,
  fingerprint,
  type OrgWorld,
  openAccountWorld,
  openVaultWorld,
  resume,
  story,
  type VaultWorld,
} from './world.ts'

/** A callback that the drill cannot listen at. */
const ELSEWHERE = 'https://platform.example/callback'
/** Long enough for who comes at once. */
const PERSON_MS = 20_000

interface Linked extends OrgWorld {
  readonly platform: Platform
}

async function personWith(
  { platform, http }: Linked,
  wish: Partial<LinkMeans> & Pick<LinkMeans, 'show'>,
): Promise<Consent> {
  const means = { clock: systemClock, http, platform, redirectUri: CALLBACK, waitMs: PERSON_MS }
  const consent = await linkConsent({ ...means, ...wish })
  onTestFinished(() => consent.close())
  return consent
}

/** Who opens the link, logs in and allows; the answer goes to `at`. */
async function visit(url: string, by: Consent, at = CALLBACK): Promise<string> {
  const state = new Secret(new URL(url).searchParams.get('state') ?? '')
  const { callback } = await by.visit({ url, state, redirectUri: CALLBACK }, 'allow')
  const code = callback?.code?.reveal() ?? ''
  const answer = await fetch(`${at}?${new URLSearchParams({ code, state: state.reveal() })}`)
  return answer.text()
}

const WORLDS = [
  ['our vault', () => openVaultWorld()],
  ['Open Connectors', () => openAccountWorld()],
] as const

test('the drill waits until the answer is at the loopback callback; no denial is asked for', async () => {
  const world = await openVaultWorld()
  const { platform } = world
  const pages: Promise<string>[] = []
  const show = (url: string) => void pages.push(visit(url, world.consent))
  const consent = await personWith(world, { show })
  const drilled = await drill(world, { depth: 'refresh', platform, consent })
  expect(drilled.verdict, story(drilled)).toBe('passed')
  expect(drilled.step(9)?.evidence).toMatchObject({ how: 'link', denial: null })
  expect((await Promise.all(pages)).join()).toContain('The terminal says what came of it.')
})

describe.each(WORLDS)('a person with a link of %s who does not come', (_name, open) => {
  test.each([
    ['the drill has the callback', CALLBACK],
    ['it is served elsewhere', ELSEWHERE],
  ])('and the drill waits to be gone on with, where %s', async (_title, redirectUri) => {
    const world: Linked = await open()
    const { platform } = world
    const links: string[] = []
    const show = (url: string) => void links.push(url)
    const late = await personWith(world, { show, redirectUri, waitMs: 300 })
    await expect(drill(world, { depth: 'grant', platform, consent: late })).rejects.toMatchObject({
      code: 'nobody_consented',
      message: expect.stringMatching(
        /^Nobody consented within 300 ms\. drilled is dead: .*nobody has reconnected it\. Bring it back with: rescind drill resume drl_/,
      ),
    })
    await late.close()
    expect((await platform.snapshot()).state).not.toBe('reconnecting')

    const came: Promise<string>[] = []
    const again = await personWith(world, {
      show: (url) => {
        links.push(url)
        came.push(visit(url, world.consent))
      },
    })
    const resumed = await resume(world, { platform, consent: again })
    await Promise.all(came)
    expect(resumed.verdict, story(resumed)).toBe('passed')
    expect(new Set(links).size).toBe(2)
  })
})

test('who does not come leaves no link that holds the connection up', async () => {
  const world = await openVaultWorld()
  const consent = await personWith(world, { show: () => {}, waitMs: 300 })
  const { platform, vault, connection, folder } = world
  await expect(drill(world, { depth: 'refresh', platform, consent })).rejects.toThrow(/^Nobody/)
  expect(await vault.vault.get(connection)).toMatchObject({ state: 'reconnect_needed' })
  const db = new DatabaseSync(join(folder, 'home', 'rescind.db'), { readOnly: true })
  const open = db.prepare('SELECT count(*) AS unused FROM reconnect WHERE used_at IS NULL').get()
  expect(open).toEqual({ unused: 0 })
  db.close()
})

describe('a platform that says that it is connected all the while', () => {
  const NEVER = { switches: { notices: 'never' } } as const

  test('is not taken for one whose owner has been there', async () => {
    const world = await openAccountWorld(NEVER)
    const { platform } = world
    const show = () => {}
    const consent = await personWith(world, { show, redirectUri: ELSEWHERE, waitMs: 2_500 })
    await expect(drill(world, { depth: 'refresh', platform, consent })).rejects.toMatchObject({
      code: 'nobody_consented',
    })
    const [unfinished] = listUnfinished(join(world.folder, 'drills'))
    expect(unfinished?.memory).toMatchObject({ reconnected: false, appliedBy: null })
  })

  test('and shows a token that the provider does not take: step 11 fails, and it is not back', async () => {
    const world = await openAccountWorld(NEVER)
    const { platform } = world
    const false_ = new Secret('00Dxx0000000001!not-a-session')
    let isShown = false
    const snapshot = async (): Promise<PlatformSnapshot> => {
      const seen = await platform.snapshot()
      return isShown ? { ...seen, accessFingerprint: fingerprint(false_) } : seen
    }
    const tokens: Platform['tokens'] = async () => {
      const held = await platform.tokens()
      return isShown ? { ...held, access: false_ } : held
    }
    const lying: Linked['platform'] = { ...platform, snapshot, tokens }
    const show = () => void setTimeout(() => (isShown = true), 100)
    const consent = await personWith(
      { ...world, platform: lying },
      { show, redirectUri: ELSEWHERE },
    )
    const drilled = await drill(world, { depth: 'refresh', platform: lying, consent })
    expect(drilled.step(11), story(drilled)).toMatchObject({
      verdict: 'fail',
      why: expect.stringMatching(/new tokens, and the provider does not take them/),
    })
    expect(drilled.records.at(-1)).toMatchObject({
      isBack: false,
      stands: expect.stringMatching(/is dead: .*nobody has reconnected it/),
    })
  })

  test('and that it took the code is back only by the provider’s word', async () => {
    const world = await openAccountWorld(NEVER)
    const platform: Platform = {
      ...world.platform,
      applyCallback: async () => ({ ok: true, route: 'PATCH', cause: null }),
    }
    const drilled = await drill(world, { depth: 'refresh', platform })
    expect(drilled.step(14)?.verdict, story(drilled)).toBe('pass')
    expect(drilled.records.at(-1)).toMatchObject({
      isBack: false,
      stands: expect.stringMatching(/was given a new grant and does not work/),
    })
  })
})

test('where the callback is served elsewhere, a new token that the provider takes is the person’s', async () => {
  const world = await openAccountWorld()
  const { platform } = world
  const show = (url: string) => {
    const state = new Secret(new URL(url).searchParams.get('state') ?? '')
    const link = { url, state, redirectUri: CALLBACK }
    const served = async () => {
      const { callback } = await world.consent.visit(link, 'allow')
      await platform.enable()
      if (callback) await platform.applyCallback(link, callback)
    }
    void served()
  }
  const consent = await personWith(world, { show, redirectUri: ELSEWHERE })
  const drilled = await drill(world, { depth: 'refresh', platform, consent })
  expect(drilled.verdict, story(drilled)).toBe('passed')
  expect(drilled.step(11)?.why).toBe('The process that serves the callback applied the code.')
})

describe('a port of the callback that is taken', () => {
  const listen = async (listener: RequestListener) => {
    const server = createServer(listener).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }
  const serve = ({ vault: { parts, vault } }: VaultWorld) => {
    const reauthorizing = createReauthorizing(parts, vault)
    const api = createConnectionsApi({ vault, reauthorizing, store: parts.store })
    return listen(getRequestListener((request) => api.fetch(request)))
  }
  const nobody = { show: () => {} }

  test.each<[string, () => Promise<string>]>([
    ['that answers all alike', () => listen((_, response) => response.end('mine'))],
    ['that answers nothing', () => listen((request) => request.socket.destroy())],
    [
      'that serves the callback of another vault',
      async () => `${await serve(await openVaultWorld())}/connections/callback`,
    ],
  ])('by another program %s: it would get the code', async (_title, program) => {
    const world = await openVaultWorld()
    const redirectUri = await program()
    await expect(personWith(world, { ...nobody, redirectUri })).rejects.toMatchObject({
      code: 'drill_refused',
      message: expect.stringMatching(
        /^Port \d+ of this machine, where the person’s answer arrives, is taken by another program.*End that program and run this again, or use --consent browser/,
      ),
    })
    expect((await world.platform.snapshot()).state).toBe('connected')
  })

  test('by another drill: they go one at a time, and the next has it when that has ended', async () => {
    const world = await openVaultWorld()
    const first = await personWith(world, nobody)
    await expect(personWith(await openAccountWorld(), nobody)).rejects.toMatchObject({
      code: 'drill_refused',
      message: expect.stringMatching(
        /is taken by another drill or login of Rescind, .*one at a time/,
      ),
    })
    await first.close()
    await (await personWith(world, nobody)).close()
  })

  test('by what serves the callback of the same vault: that applies the code, and the drill waits for it', async () => {
    const world = await openVaultWorld()
    const redirectUri = `${await serve(world)}/connections/callback`
    const pages: Promise<string>[] = []
    const show = (url: string) => void pages.push(visit(url, world.consent, redirectUri))
    const consent = await personWith(world, { show, redirectUri })
    const drilled = await drill(world, { depth: 'refresh', platform: world.platform, consent })
    expect(await pages[0]).toContain('The connection works')
    expect(drilled.verdict, story(drilled)).toBe('passed')
    expect(drilled.step(11)?.why).toBe('The process that serves the callback applied the code.')
  })

  test('and whoever says no there fails step 9: the connection waits for its owner', async () => {
    const world = await openVaultWorld()
    const { platform, http } = world
    const redirectUri = `${await serve(world)}/connections/callback`
    const show = async (url: string) => {
      const state = new Secret(new URL(url).searchParams.get('state') ?? '')
      const { callback } = await world.consent.visit({ url, state, redirectUri: CALLBACK }, 'deny')
      const answer = new URLSearchParams({ error: callback?.error ?? '', state: state.reveal() })
      await http.send({ method: 'GET', url: new URL(`${redirectUri}?${answer}`) })
    }
    const consent = await personWith(world, { show: (url) => void show(url), redirectUri })
    const drilled = await drill(world, { depth: 'refresh', platform, consent })
    expect([drilled.failedAt, drilled.step(9)?.why], story(drilled)).toEqual([
      9,
      'The consent was refused: access_denied.',
    ])
    expect(drilled.step(11)).toMatchObject({
      verdict: 'skipped',
      why: 'There is no code to apply.',
    })
    expect((await platform.snapshot()).state).toBe('reconnect_needed')
    expect(drilled.records.at(-1)).toMatchObject({ verdict: 'failed', isBack: false })
  })

  test('and what serves it refuses another person: the drill waits no longer, and can be gone on with', async () => {
    const world = await openVaultWorld()
    const redirectUri = `${await serve(world)}/connections/callback`
    const show = (url: string) => void visit(url, world.other, redirectUri)
    const consent = await personWith(world, { show, redirectUri })
    const wish = { depth: 'refresh', platform: world.platform, consent } as const
    await expect(drill(world, wish)).rejects.toMatchObject({
      code: 'nobody_consented',
      message: expect.stringMatching(
        /^What came to the callback was refused: .*drilled is dead: .*rescind drill resume/,
      ),
    })
  })
})

describe('another person at the link', () => {
  test('is told of with the next link, and the right one brings it back', async () => {
    const world = await openVaultWorld()
    const { platform } = world
    const told: (string | undefined)[] = []
    const show = (url: string, again: string | undefined) => {
      told.push(again)
      void visit(url, told.length === 1 ? world.other : world.consent)
    }
    const consent = await personWith(world, { show })
    const drilled = await drill(world, { depth: 'refresh', platform, consent })
    expect(told).toEqual([
      undefined,
      'The last reconnect was refused: another person consented than before.',
    ])
    expect(drilled.verdict, story(drilled)).toBe('passed')
  })

  const REFUSED = { ok: false, route: 'PATCH', cause: 'malformed_answer' } as const
  const isDead =
    /^Stopped\. drilled is dead: .*, and what came back was refused\. Bring it back with: /
  const mayBeBack = /^Stopped\. drilled was revoked .*, and may be back: .*its answer is not known/

  test.each<[string, () => Promise<Linked>, Platform['applyCallback'] | null, RegExp]>([
    ['our vault refuses', () => openVaultWorld(), null, isDead],
    ['Open Connectors refuses', () => openAccountWorld(), async () => REFUSED, isDead],
    [
      'Open Connectors took without new tokens',
      () => openAccountWorld(),
      async () => ({ ...REFUSED, mayBeTaken: true }),
      mayBeBack,
    ],
    [
      'did not reach our vault for sure',
      () => openVaultWorld(),
      () => Promise.reject(new RescindError('http_timeout', 'No answer came.')),
      mayBeBack,
    ],
  ])('whose code %s: stopped after it, the drill says what is so', async (...row) => {
    const [_title, open, answer, said] = row
    const world = await open()
    const stop = new AbortController()
    const shown: string[] = []
    const platform: Platform = {
      ...world.platform,
      ...(answer && { applyCallback: answer }),
    }
    const show = (url: string) => {
      if (shown.push(url) > 1) stop.abort()
      else void visit(url, world.other)
    }
    const consent = await personWith({ ...world, platform }, { show })
    const wish = { depth: 'grant', platform, consent, signal: stop.signal } as const
    await expect(drill(world, wish)).rejects.toMatchObject({
      code: 'stopped_by_signal',
      message: expect.stringMatching(said),
    })
    expect(shown).toHaveLength(2)
  })

  test('a code of which the answer was lost may have brought it back', async () => {
    const world = await openVaultWorld()
    const consent = await personWith(world, { show: () => {}, waitMs: 300 })
    const { platform } = world
    await expect(drill(world, { depth: 'grant', platform, consent })).rejects.toThrow()
    const [unfinished] = listUnfinished(join(world.folder, 'drills'))
    if (!unfinished?.memory) throw new Error('the drill wrote nothing down')
    const stands = (codesLost: number, codesRefused?: number) => {
      const count = codesRefused === undefined ? { codesLost } : { codesLost, codesRefused }
      return (
        unfinished.memory && whereItStands(unfinished.about, { ...unfinished.memory, ...count })
      )
    }
    expect(stands(1)).toMatch(/may be back: .*its answer is not known/)
    expect(stands(2, 1)).toMatch(/may be back: /)
    expect(stands(2, 2)).toMatch(/is dead: .*what came back was refused/)
  })
})
