import type { Secret } from '../core/secret.ts'
import type { StoreParts } from './store.ts'

/** Refresh tokens that an instance elsewhere lived on before a new grant, and that may live: until they are dead. */
export interface FormerGrants {
  list(platform: string, instance: number): Promise<readonly Secret[]>
  keep(platform: string, instance: number, refresh: Secret): Promise<void>
  forget(platform: string, instance: number, refresh: Secret): Promise<void>
}

/** Opens the former grants in a store's database. Each is sealed for its instance alone. */
export function openFormerGrants({ db, sealer, syncKey, fingerprint }: StoreParts): FormerGrants {
  const placeOf = (platform: string, instance: number) => ({
    ...{ tenant: platform, column: 'former_grant.sealed', row: String(instance) },
  })
  return {
    async list(platform, instance) {
      const rows = await db
        .selectFrom('former_grant')
        .select('sealed')
        .where('platform', '=', platform)
        .where('instance', '=', instance)
        .execute()
      return rows.map(({ sealed }) => sealer.open(sealed, placeOf(platform, instance)))
    },
    async keep(platform, instance, refresh) {
      await syncKey()
      const sealed = sealer.seal(refresh, placeOf(platform, instance))
      await db
        .insertInto('former_grant')
        .values({ platform, instance, fingerprint: fingerprint(refresh), sealed })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    },
    async forget(platform, instance, refresh) {
      await db
        .deleteFrom('former_grant')
        .where('platform', '=', platform)
        .where('instance', '=', instance)
        .where('fingerprint', '=', fingerprint(refresh))
        .execute()
    },
  }
}
