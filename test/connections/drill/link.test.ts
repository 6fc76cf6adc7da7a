import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Consent } from '../../../src/connections/drill/consent/consent.ts'
import { type LinkMeans, linkConsent } from '../../../src/connections/drill/consent/link.ts'
import type { Platform } from '../../../src/connections/drill/platform.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { Secret } from '../../../src/core/secret.ts'
import {
  CALLBACK,
  drill,
  type OrgWorld,
  openAccountWorld,
  openVaultWorld,
  resume,
  story,
} from './world.ts'

/** Long enough for who comes at once. */
const PERSON_MS = 20_000

interface Linked extends OrgWorld {
  readonly platform: Platform
}

async function personWith(
  { platform }: Linked,
  wish: Partial<LinkMeans> & Pick<LinkMeans, 'show'>,
): Promise<Consent> {
  const means = { clock: systemClock, platform, waitMs: PERSON_MS }
  const consent = linkConsent({ ...means, ...wish })
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
  await Promise.all(pages)
})

describe.each(WORLDS)('a person with a link of %s who does not come', (_name, open) => {
  test('and the drill waits to be gone on with', async () => {
    const world: Linked = await open()
    const { platform } = world
    const links: string[] = []
    const show = (url: string) => void links.push(url)
    const late = await personWith(world, { show, waitMs: 300 })
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
