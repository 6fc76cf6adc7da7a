import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import { openStore } from '../../src/store/store.ts'
import { tempHome } from '../support/temp-home.ts'

const PLATFORM = 'https://api.example/elements/api-v2'

it('a former grant is kept once, sealed, and opens for its own instance alone', async () => {
  using home = tempHome()
  const store = await openStore({ home: home.path })
  const { formerGrants } = store
  const token = new Secret('a-former-refresh-token')
  const listed = async (instance: number) =>
    (await formerGrants.list(PLATFORM, instance)).map((one) => one.reveal())
  try {
    for (let nth = 0; nth < 2; nth += 1) await formerGrants.keep(PLATFORM, 4014, token)
    expect([await listed(4014), await listed(4015)]).toEqual([[token.reveal()], []])
    using raw = new DatabaseSync(join(home.path, 'rescind.db'))
    const row = raw.prepare('SELECT * FROM former_grant').get()
    expect(Buffer.from(row?.sealed as Uint8Array).includes(token.reveal())).toBe(false)
    expect(String(row?.fingerprint)).not.toContain(token.reveal())
    raw.exec('UPDATE former_grant SET instance = 4015')
    await expect(listed(4015)).rejects.toMatchObject({ code: 'store_unsealable' })
    await formerGrants.forget(PLATFORM, 4015, token)
    expect(await listed(4015)).toEqual([])
  } finally {
    await store.close()
  }
})
