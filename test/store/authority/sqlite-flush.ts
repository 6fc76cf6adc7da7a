import { systemClock } from '../../../src/core/clock.ts'
import { openSqliteAuthorityStore } from '../../../src/store/authority/sqlite.ts'

/** Opens the store in a file and commits some changes, each after the answer to the one before. */
const [path = '', count = '0'] = process.argv.slice(2)
const store = await openSqliteAuthorityStore(path, { clock: systemClock })
for (let no = 0; no < Number(count); no += 1) {
  await store.commit({ type: 'put_note', key: `note ${no}`, value: '', expected: null, events: [] })
}
// No close: it would flush once more, at its own time.
process.exit(0)
