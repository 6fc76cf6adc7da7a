import type { StoreParts } from './store.ts'

/** Whose the grant of an instance elsewhere must be, while the platform shows somebody else. */
export interface GrantOwners {
  /** JSON, or null when nobody is remembered. */
  read(platform: string, instance: number): Promise<string | null>
  write(platform: string, instance: number, owner: string): Promise<void>
  forget(platform: string, instance: number): Promise<void>
}

/** Opens what is remembered of owners, in a store's database. */
export function openGrantOwners({ db }: StoreParts): GrantOwners {
  const keyOf = (platform: string, instance: number) => `grant_owner ${platform} ${instance}`
  return {
    async read(platform, instance) {
      const row = await db
        .selectFrom('meta')
        .select('value')
        .where('key', '=', keyOf(platform, instance))
        .executeTakeFirst()
      return row?.value ?? null
    },
    async write(platform, instance, value) {
      await db
        .insertInto('meta')
        .values({ key: keyOf(platform, instance), value })
        .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
        .execute()
    },
    async forget(platform, instance) {
      await db.deleteFrom('meta').where('key', '=', keyOf(platform, instance)).execute()
    },
  }
}
