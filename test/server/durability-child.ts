import { writeSync } from 'node:fs'
import { seededRandom } from '../../src/core/clock.ts'
import { openAuthority } from './durability-authority.ts'
import { runLoad } from './durability-load.ts'

// A program: loads an authority until it is killed, and says on standard output what it was answered.
const { DURABILITY_PLACE: place = '', DURABILITY_NAME: name = '' } = process.env
const { core, client } = await openAuthority(place)
await runLoad({
  ...{ core, client, name, random: seededRandom(Number(name)) },
  signal: new AbortController().signal,
  // At once: what is not in the pipe when the process dies was not said.
  say: (line) => void writeSync(1, `${JSON.stringify(line)}\n`),
})
