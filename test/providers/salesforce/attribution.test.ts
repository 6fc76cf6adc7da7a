import { describe, expect, it } from 'vitest'
import type { AppCatalogue, KnownApp } from '../../../src/providers/salesforce/apps.ts'
import { createAttribution, findSessionApp } from '../../../src/providers/salesforce/attribution.ts'

const app = (
  id: string,
  label: string,
  kind: KnownApp['kind'],
  more: Partial<KnownApp> = {},
): KnownApp => ({
  id,
  label,
  kind,
  developerName: label.replace(/\W+/g, '_'),
  menuItemId: null,
  adminApproved: false,
  issuesJwt: false,
  hasUsage: kind === 'external',
  ...more,
})

const catalogue: AppCatalogue = {
  apps: [
    app('0H4a', 'Reporting', 'connected'),
    app('0H4b', 'Reporting', 'connected'),
    app('0xIa', 'Battlecards', 'external'),
    app('0xIb', 'Twin', 'external'),
    app('0xIc', 'Twin', 'external'),
    app('0xId', 'Shared', 'external'),
    app('0H4d', 'Shared', 'connected'),
    app('0xIe', 'Klue_Cards', 'external', { developerName: 'Klue_Cards' }),
  ],
  opensAlone: new Map(),
  blocked: new Set(),
  lacks: [],
  notes: [],
}
const users: Readonly<Record<string, readonly string[]>> = {
  '0xIa': ['005a'],
  '0xIb': ['005a'],
  '0xIc': ['005a'],
  '0xId': ['005a'],
  '0xIe': ['005a'],
}

describe('which app a token belongs to', () => {
  it.each<[string, string | null, string | null, string | null, string | null, string]>([
    ['an id, whatever the label', '0H4b', 'Reporting', '005a', '0H4b', 'id'],
    ['an id that no list has', '0H4z', 'New', '005a', '0H4z', 'id'],
    [
      'one external app of the label, which lists the user',
      null,
      'Battlecards',
      '005a',
      '0xIa',
      'label',
    ],
    [
      'one external app of the label, which does not list the user',
      null,
      'Battlecards',
      '005b',
      'label:Battlecards',
      'label',
    ],
    ['no user', null, 'Battlecards', null, 'label:Battlecards', 'label'],
    ['two external apps of the label', null, 'Twin', '005a', 'label:Twin', 'label'],
    [
      'an external and a connected app of the label: connected ones come with an id',
      null,
      'Shared',
      '005a',
      '0xId',
      'label',
    ],
    [
      'an external app of which only the developer name is known',
      null,
      'Klue Cards',
      '005a',
      '0xIe',
      'label',
    ],
    ['connected apps of the label alone', null, 'Reporting', '005a', 'label:Reporting', 'label'],
    ['a label of nobody', null, 'Dataloader', '005a', 'label:Dataloader', 'label'],
    ['nothing', null, null, '005a', null, 'none'],
  ])('%s', async (_title, applicationId, label, userId, appId, match) => {
    const attribution = createAttribution(catalogue, async (id) => new Set(users[id] ?? []))
    const clue = { applicationId, label, userId }
    await attribution.prepare([clue])
    expect(attribution.find(clue)).toEqual({ appId, match })
  })

  it('names each new app once, with what is known of it', async () => {
    const attribution = createAttribution(catalogue, async () => new Set())
    const clues = ['Dataloader', 'Twin', 'Dataloader'].map((label) => ({
      applicationId: null,
      label,
      userId: '005a',
    }))
    await attribution.prepare(clues)
    for (const clue of clues) attribution.find(clue)
    const rows = attribution.takeNewApps()
    expect(rows.map(({ id, kind, reaches }) => [id, kind, ...reaches])).toEqual([
      ['label:Dataloader', 'uninstalled', 'token'],
      ['label:Twin', 'ambiguous', 'token'],
    ])
    expect(attribution.takeNewApps()).toEqual([])
  })

  it('asks for the users of an app at most once, and only where a label needs them', async () => {
    const asked: string[] = []
    const attribution = createAttribution(catalogue, async (id) => {
      asked.push(id)
      return new Set(['005a'])
    })
    const clues = ['Battlecards', 'Battlecards', 'Reporting', 'Twin'].map((label) => ({
      applicationId: null,
      label,
      userId: '005a',
    }))
    await attribution.prepare(clues)
    await attribution.prepare(clues)
    expect(asked).toEqual(['0xIa'])
  })
})

describe('which app a session belongs to: only its label is known', () => {
  it.each([
    ['Battlecards', '0xIa', 'label'],
    ['Reporting', 'label:Reporting', 'label'],
    ['Dataloader', 'label:Dataloader', 'label'],
    [null, null, 'none'],
  ])('%s', (label, appId, match) => {
    expect(findSessionApp(catalogue, label).found).toEqual({ appId, match })
  })
})
