import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Consent } from '../../../src/connections/drill/consent/consent.ts'
import { type DrillMemory, emptyMemory } from '../../../src/connections/drill/context.ts'
import { continueEvidence, createEvidence } from '../../../src/connections/drill/evidence-file.ts'
import { openEvidenceKey } from '../../../src/connections/drill/evidence-key.ts'
import { injectionsOf } from '../../../src/connections/drill/injections.ts'
import { openJournal } from '../../../src/connections/drill/journal.ts'
import type { Platform } from '../../../src/connections/drill/platform.ts'
import { pass } from '../../../src/connections/drill/step.ts'
import {
  createOpenConnectorsClient,
  orThrow,
} from '../../../src/connections/open-connectors/client.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { RescindError } from '../../../src/core/errors.ts'
import {
  type AccountWorld,
  drill,
  LIMITS,
  openAccountWorld,
  openVaultWorld,
  sealer,
} from './world.ts'

const FAULTS = injectionsOf(['receiver-down', 'provider-5xx'])

/** The owner who does not come, so that what the fault killed stays dead. */
function nobody(consent: Consent, instead: () => void): Consent {
  const visit = async () => {
    instead()
    throw new RescindError('consent_failed', 'Nobody came.')
  }
  return { ...consent, visit }
}

describe.concurrent('a fault that killed the connection', () => {
  test('stopped: it may be dead, which is said, and the next drill is refused', async () => {
    const world = await openVaultWorld()
    const { platform, folder } = world
    const stop = new AbortController()
    const consent = nobody(world.consent, () => stop.abort())
    const more = { injections: FAULTS }
    const wish = { depth: 'refresh', platform, consent, signal: stop.signal, more } as const
    await expect(drill(world, wish)).rejects.toMatchObject({
      code: 'stopped_by_signal',
      message: expect.stringMatching(
        /^Stopped\. drilled may be dead: the fault receiver-down was injected at .* rescind drill resume drl_/,
      ),
    })
    expect((await platform.call()).ok).toBe(false)
    const about = { drill: 'drl_next', subject: 'drilled', via: 'rescind' } as const
    const more2 = { depth: 'refresh', mode: 'simulated', evidence: join(folder, 'e') } as const
    const begunWith = { limits: LIMITS, ownerConsent: null, consent: 'form' } as const
    const means = { folder: join(folder, 'drills'), sealer }
    expect(() => openJournal({ ...about, ...more2, begunWith }, means)).toThrow(RescindError)
  })

  test('not brought back: the end says so by a call, and no other fault is injected', async () => {
    const world = await openVaultWorld()
    const { platform } = world
    const consent = nobody(world.consent, () => {})
    const more = { injections: FAULTS }
    const drilled = await drill(world, { depth: 'refresh', platform, consent, more })
    const faults = drilled.records.filter(({ kind }) => kind === 'inject')
    expect(faults.map(({ inject, verdict }) => [inject, verdict])).toEqual([
      ['receiver-down', 'fail'],
      ['provider-5xx', 'skipped'],
    ])
    expect(faults[1]?.why).toBe('The fault receiver-down left the connection dead.')
    expect(drilled.step(15)?.why).not.toMatch(/as it was/)
    expect(drilled.records.at(-1)).toMatchObject({
      verdict: 'failed',
      isBack: false,
      stands: expect.stringMatching(/^drilled is dead: the fault receiver-down was injected at/),
    })
  })

  test('resumed: it is brought back, and a fault that failed before counts', async () => {
    const world = await openVaultWorld()
    const { platform, folder } = world
    const judgement = { verdict: 'fail', why: 'It was seen to fail.' } as const
    const failing = injectionsOf(['provider-5xx']).map((one) => ({
      ...one,
      run: async () => ({ seen: {}, judgement }),
    }))
    const stop = new AbortController()
    const consent = nobody(world.consent, () => stop.abort())
    const more = { injections: [...failing, ...injectionsOf(['receiver-down', 'clock-skew'])] }
    const wish = { depth: 'refresh', platform } as const
    await expect(drill(world, { ...wish, consent, signal: stop.signal, more })).rejects.toThrow()

    const [name = ''] = readdirSync(join(folder, 'drills')).filter((one) => one.endsWith('.json'))
    const { about, memory } = JSON.parse(readFileSync(join(folder, 'drills', name), 'utf8'))
    rmSync(join(folder, 'drills', name))
    const signer = openEvidenceKey(join(folder, 'drill-key'))
    const evidence = continueEvidence(about.evidence, { signer, clock: systemClock })
    const resumed = { memory, secrets: { old: null, link: null, callback: null, codes: [] } }
    const drilled = await drill(world, { ...wish, more: { evidence, resumed } })
    expect(evidence.records.at(-1)).toMatchObject({
      ...{ kind: 'end', verdict: 'failed', isBack: true },
      why: expect.stringMatching(/^1 fault failed: provider-5xx\. The drill died: /),
    })
    const faults = evidence.records.filter(({ kind }) => kind === 'inject')
    expect(faults.map(({ inject, verdict }) => [inject, verdict])).toEqual([
      ['provider-5xx', 'fail'],
      ['receiver-down', 'skipped'],
      ['clock-skew', 'skipped'],
    ])
    expect(drilled.verdict).toBe('failed')
    expect((await platform.call()).ok).toBe(true)
  })

  test('a connection that came back is shown to be by a call', async () => {
    const world = await openVaultWorld()
    const { platform } = world
    const more = { injections: injectionsOf(['receiver-down']) }
    const drilled = await drill(world, { depth: 'refresh', platform, more })
    expect(drilled.records.at(-1)).toMatchObject({ verdict: 'passed', isBack: true, stands: null })
  })
})

describe.concurrent('a stranger’s grant that a fault had put in when the drill died', () => {
  const putStranger = async ({ platform, other }: AccountWorld) => {
    const link = await platform.reconnectLink()
    const { callback } = await other.visit(link, 'allow')
    if (callback === null) throw new Error('nothing came to the callback')
    await platform.applyCallback(link, callback)
  }
  const disable = async ({ settings, http, instance }: AccountWorld) => {
    const client = createOpenConnectorsClient(settings, { http, clock: systemClock })
    await client.disable(orThrow(await client.get(instance), 'show the instance'))
  }
  const resumeOf = async (
    world: AccountWorld,
    hurt: DrillMemory['hurt'],
    died = world.platform,
  ) => {
    const { platform, folder } = world
    const signer = openEvidenceKey(join(folder, 'drill-key'))
    const evidence = createEvidence(join(folder, 'died.jsonl'), { signer, clock: systemClock })
    evidence.append({ kind: 'drill', inject: ['wrong-person', 'five-failures'] })
    evidence.append({ kind: 'intent', inject: 'wrong-person' })
    const memory = { ...emptyMemory(0), hurt, before: await platform.snapshot() }
    const resumed = { memory, secrets: { old: null, link: null, callback: null, codes: [] } }
    return {
      evidence,
      resume: () => drill(world, { depth: 'refresh', platform: died, more: { evidence, resumed } }),
    }
  }
  const HURT = { fault: 'wrong-person', at: 0 }

  test.each<[string, (world: AccountWorld) => Promise<void>]>([
    ['and that works', async () => {}],
    ['and the instance was disabled', disable],
    [
      'and was ended',
      async ({ platform, direct }) => {
        const { refresh } = await platform.tokens()
        if (refresh === null) throw new Error('the stranger has no refresh token')
        await direct.way.revoke(direct.app, { kind: 'refresh', token: refresh }, direct.means)
      },
    ],
  ])('%s: it is ended, and the owner is back', async (_title, meanwhile) => {
    const world = await openAccountWorld()
    const { platform, direct } = world
    const { identity } = await platform.snapshot()
    const { evidence, resume } = await resumeOf(world, HURT)
    await putStranger(world)
    const strangers = await platform.tokens()
    expect((await platform.snapshot()).identity).not.toEqual(identity)
    await meanwhile(world)
    await resume()
    expect(evidence.records.at(-1)).toMatchObject({ kind: 'end', isBack: true, stands: null })
    expect((await platform.snapshot()).identity).toEqual(identity)
    const { app, means, way } = direct
    expect((await way.probe(app, strangers.access, means)).verdict).toBe('dead')
  })

  test('and that the provider does not end: the owner is back all the same', async () => {
    const world = await openAccountWorld()
    const { platform, direct } = world
    const { identity } = await platform.snapshot()
    const unclear = { revoked: 'unknown', alreadyDead: false, status: 503, code: 'busy' } as const
    const way: typeof direct.way = { ...direct.way, revoke: async () => unclear }
    const busy = { ...world, direct: { ...direct, way } }
    const { evidence, resume } = await resumeOf(busy, HURT)
    await putStranger(world)
    await resume()
    expect(evidence.records.at(-1)).toMatchObject({ kind: 'end', isBack: true, stands: null })
    expect((await platform.snapshot()).identity).toEqual(identity)
  })

  test('and that no consent replaces: the end names whose it was, and does not call it back', async () => {
    const world = await openAccountWorld()
    const { platform } = world
    const { identity } = await platform.snapshot()
    const lying: Platform = {
      ...platform,
      // As one who shows the stranger still, whatever is applied.
      snapshot: async () => ({ ...(await platform.snapshot()), identity: strangers }),
    }
    const { evidence, resume } = await resumeOf(world, HURT, lying)
    await putStranger(world)
    const { identity: strangers } = await platform.snapshot()
    await resume()
    const owner = `${identity?.org}/${identity?.user}`
    expect(evidence.records.at(-1)).toMatchObject({
      ...{ kind: 'end', isBack: false },
      stands: `drilled holds a grant of somebody else, and was ${owner}’s before the drill. Bring it back with: rescind open-connectors reauthorize drilled --identity ${owner}`,
    })
  })

  test('is asked for by its own name where no fault was in force: a stranger is not drilled', async () => {
    const world = await openAccountWorld()
    const { resume } = await resumeOf(world, null)
    await putStranger(world)
    await expect(resume()).rejects.toMatchObject({
      code: 'drill_refused',
      message: expect.stringMatching(
        /holds a grant of the provider user \S+ now, and was drilled as/,
      ),
    })
  })
})

describe.concurrent('what a process left on at the emulators when it died', () => {
  const LEFT = { pageSize: 1, secretsInAnswers: 'masked', maskedEcho: 'ignored' } as const
  const GIVEN = { pageSize: 50, secretsInAnswers: 'clear', maskedEcho: 'stored' } as const
  const leave = ({ account, org }: AccountWorld) => {
    account.setSwitches(LEFT)
    account.setFaults([{ kind: 'unauthorized_401', on: 'any' }])
    org.setFaults([{ kind: 'unavailable_503', on: 'any' }])
  }
  const switchesOf = async ({ lab }: AccountWorld) => lab?.account?.ask('switches')

  test('is gone before the next drill of faults looks at anything', async () => {
    const world = await openAccountWorld({ switches: GIVEN })
    const { platform } = world
    leave(world)
    const seen: unknown[] = []
    const injections = injectionsOf(['second-page']).map((one) => ({
      ...one,
      run: async () => {
        seen.push(await switchesOf(world))
        return { seen: {}, judgement: pass('Seen.') }
      },
    }))
    const drilled = await drill(world, { depth: 'refresh', platform, more: { injections } })
    expect(drilled.verdict).toBe('passed')
    expect(seen).toEqual([expect.objectContaining(GIVEN)])
  })

  test.each([
    ['killed the connection', true],
    ['killed nothing', false],
  ])(
    'is gone when the drill is resumed, and the connection is back: it %s',
    async (_it, isDead) => {
      const world = await openAccountWorld({ switches: GIVEN })
      const { platform, folder } = world
      const signer = openEvidenceKey(join(folder, 'drill-key'))
      const evidence = createEvidence(join(folder, 'died.jsonl'), { signer, clock: systemClock })
      evidence.append({ kind: 'drill', inject: ['masked-secret-in-put'] })
      evidence.append({ kind: 'intent', inject: 'masked-secret-in-put' })
      const { direct } = world
      const { refresh } = await platform.tokens()
      if (isDead && refresh) {
        await direct.way.revoke(direct.app, { kind: 'refresh', token: refresh }, direct.means)
      }
      leave(world)
      const hurt = isDead ? { fault: 'masked-secret-in-put', at: 0 } : null
      const memory = { ...emptyMemory(0), hurt }
      const resumed = { memory, secrets: { old: null, link: null, callback: null, codes: [] } }
      await drill(world, { depth: 'refresh', platform, more: { evidence, resumed } })
      expect(evidence.records.at(-1)).toMatchObject({ kind: 'end', isBack: true })
      expect(await switchesOf(world)).toMatchObject(GIVEN)
    },
  )
})
