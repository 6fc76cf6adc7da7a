import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { EXIT } from '../../src/core/errors.ts'
import { createAuthority } from '../../src/server/authority.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { loadKey } from '../../src/store/key.ts'
import { hasTerminal, rescindOnTerminal, withoutTerminal } from '../support/run-terminal.ts'
import { tempHome } from '../support/temp-home.ts'

const ISSUER = 'http://127.0.0.1:9400'
const ASKED = 'Type the count of grants to go on:'
const CTRL_C = '\u0003'
const ESCAPE = '\u001b'

/** An authority in a home, where Ann has two grants with two tokens each, and Bob one. */
async function openHome() {
  const home = tempHome()
  writeFileSync(join(home.path, 'rescind.yaml'), `authority:\n  issuer: ${ISSUER}\n`)
  const authority = await createAuthority({
    issuer: ISSUER,
    store: await openSqliteAuthorityStore(join(home.path, 'authority.db')),
    key: loadKey(join(home.path, 'key'), undefined),
  })
  await authority.clients.add({ id: 'app', authMethod: 'none', scope: 'read' })
  const issue = async (userId: string) => {
    const pair = await authority.issue({ clientId: 'app', userId, scope: 'read' })
    return [pair.access_token, pair.refresh_token ?? '']
  }
  const [ann, bob] = [[...(await issue('ann')), ...(await issue('ann'))], await issue('bob')]
  const isActive = async (tokens: readonly string[]) => {
    const answers = await Promise.all(tokens.map((token) => authority.introspect(token)))
    return answers.map(({ active }) => active)
  }
  return {
    ...{ home: home.path, ann, bob, isActive },
    async [Symbol.asyncDispose]() {
      await authority.close()
      home[Symbol.dispose]()
    },
  }
}

interface Row {
  readonly typed: string
  readonly keys: string
  readonly exit: keyof typeof EXIT
  readonly says: string
  readonly isDead: boolean
}

const NOT_THE_COUNT = 'That is not the count that was confirmed. Nothing was revoked.'
const DONE = 'Revoked 2 live grants with 4 live tokens of user ann.'
const ROWS: readonly Row[] = [
  { typed: 'the count', keys: '2\r', exit: 'ok', says: DONE, isDead: true },
  { typed: 'the count, corrected', keys: '3\b2\r', exit: 'ok', says: DONE, isDead: true },
  ...[
    ['another count', '3\r'],
    ['the count of tokens', '4\r'],
    ['an empty line', '\r'],
    ['yes', 'yes\r'],
    ['the count with a sign', '-2\r'],
    ['the count in words about it', '2 grants\r'],
  ].map(([typed = '', keys = '']): Row => {
    return { typed, keys, exit: 'usage', says: NOT_THE_COUNT, isDead: false }
  }),
  ...[
    ['Ctrl-C', CTRL_C],
    ['the count, and then Ctrl-C', `2${CTRL_C}`],
    ['Escape', ESCAPE],
  ].map(([typed = '', keys = '']): Row => {
    const says = 'Not confirmed. Nothing was revoked.'
    return { typed, keys, exit: 'usage', says, isDead: false }
  }),
]

// Skipped only where nothing lends a command a terminal: the title says so.
describe.skipIf(!hasTerminal)(`authority revoke on a terminal${withoutTerminal}`, () => {
  test.each(ROWS)('$typed', async ({ keys, exit, says, isDead }) => {
    await using world = await openHome()
    const args = ['authority', 'revoke', '--user', 'ann']
    const { exitCode, screen } = await rescindOnTerminal(args, world, { asked: ASKED, keys })
    expect(screen).toContain('This revokes 2 live grants with 4 live tokens of user ann.')
    expect(screen).toContain(says)
    expect(exitCode).toBe(EXIT[exit])
    expect(await world.isActive(world.ann)).toEqual(world.ann.map(() => !isDead))
    expect(await world.isActive(world.bob)).toEqual([true, true])
  })
})
