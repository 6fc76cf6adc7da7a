import type { Command } from 'commander'
import { expect, test } from 'vitest'
import type { Io } from '../../src/cli/io.ts'
import { buildProgram } from '../../src/cli/program.ts'
import { rescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

const TOKEN = '8f3kQz-27aLmPq0xTtVw91bNcD_s6RrGh4JkLm5Nn7Pp9QqSs.T2vWwXy8Zz1Aa3Bb4Cc5Dd6Ee7Ff8Gg9Hh'

/** Shapes of Google, Microsoft, plain base64 and a version before it. */
const OF_VENDORS = [
  '1//0gLx7yZbQ9aBCgYIARAAGBASNwF-L9IrKd8sAmpleToken',
  'M.C521_BAY.0.U.-CqzN*abcDEF123!ghiJKL456$$mnoPQR789',
  'qL3+Zt/9aBcD8eFgH1iJ2kL/mN4oP5qR6sT7uV8wX9y=',
  'v1:4f9c2A7be01D88aa53Ec',
]

function leavesOf(command: Command, path: readonly string[] = []): (readonly string[])[] {
  if (command.commands.length === 0) return [path]
  return command.commands.flatMap((one) => leavesOf(one, [...path, one.name()]))
}

const LEAVES = leavesOf(buildProgram({} as Io))

test('there are commands to try', () => expect(LEAVES.length).toBeGreaterThan(40))

/** What somebody types who has a token where something else belongs. */
const SLIPS: readonly [string, (path: readonly string[]) => readonly string[]][] = [
  ['as arguments too many', (path) => [...path, ...Array(9).fill(TOKEN)]],
  ['behind an option that is none', (path) => [...path, `--refresh-token=${TOKEN}`]],
  ['as an option', (path) => [...path, `--${TOKEN}`]],
  ['as a short option', (path) => [...path, `-${TOKEN}`]],
  ['as a command', (path) => [...path.slice(0, -1), TOKEN]],
]

test.each(SLIPS)('a token %s is repeated by no command', async (_title, argsOf) => {
  using home = tempHome()
  for (const path of LEAVES) {
    for (const more of [[], ['--json'], ['--debug']]) {
      const ran = await rescind([...argsOf(path), ...more], { home: home.path })
      const said = ran.stdout + ran.stderr
      expect(ran.exitCode, path.join(' ')).not.toBe(0)
      for (const part of [TOKEN, TOKEN.slice(0, 20)]) {
        expect(said.includes(part), `${path.join(' ')}: ${said.replaceAll(part, '…')}`).toBe(false)
      }
    }
  }
})

const PLACES = [
  ...['connection show', 'connection link', 'connection disconnect'],
  ...[
    'drill',
    'drill resume',
    'drill forget',
    'drill verify',
    'drill con_x --inject',
    'drill con_x --depth',
  ],
  ...['report', 'resume', 'apply', 'show', 'verify', 'serve --workers'],
  ...['open-connectors reauthorize', 'connection notices send-again'],
  'connection invite --owner a --tenant',
]

test.each(PLACES)('a token is not repeated that was typed behind "%s"', async (place) => {
  using home = tempHome()
  for (const typed of [TOKEN, TOKEN.slice(0, 24), ...OF_VENDORS]) {
    const ran = await rescind([...place.split(' '), typed], { home: home.path })
    expect(ran.exitCode).not.toBe(0)
    expect((ran.stdout + ran.stderr).includes(typed.slice(0, 20))).toBe(false)
  }
})

test.each([
  [['connection', 'show', 'acme'], /There is no connection "acme"/],
  [['connection', 'show', 'con_0123456789'], /There is no connection "con_0123456789"/],
  [['drill', 'verify', 'drill-2026-11-28T0102.evidence.jsonl'], /2026-11-28T0102\.evidence\.jsonl/],
  [['drill', 'con_x', '--dept', 'access'], /no option --dept\. Did you mean --depth\?/],
  [['conection'], /no such command\. Did you mean connection\?/],
  [['serve', '--workers', 'two'], /option '--workers <n>' does not take .* a whole number\./],
])('a name is: %j', async (args, words) => {
  using home = tempHome()
  const ran = await rescind(args, { home: home.path })
  expect([ran.exitCode, ran.stderr]).toEqual([expect.any(Number), expect.stringMatching(words)])
})
