import { setTimeout as sleep } from 'node:timers/promises'

type Payload = Record<string, unknown>

/** Returns a store for oidc-provider in memory, each of whose operations takes a while. */
export function slowAdapter(ms: number) {
  const rows = new Map<string, Payload>()
  const grants = new Map<string, Set<string>>()
  const index = new Map<string, string>()
  return class {
    readonly name: string
    constructor(name: string) {
      this.name = name
    }
    #key(id: string): string {
      return `${this.name}:${id}`
    }
    async upsert(id: string, payload: Payload): Promise<void> {
      await sleep(ms)
      const key = this.#key(id)
      rows.set(key, payload)
      if (typeof payload.uid === 'string') index.set(payload.uid, id)
      if (typeof payload.grantId !== 'string') return
      grants.set(payload.grantId, (grants.get(payload.grantId) ?? new Set()).add(key))
    }
    async find(id: string): Promise<Payload | undefined> {
      await sleep(ms)
      return rows.get(this.#key(id))
    }
    async findByUid(uid: string): Promise<Payload | undefined> {
      return await this.find(index.get(uid) ?? '')
    }
    async findByUserCode(): Promise<undefined> {
      return undefined
    }
    async consume(id: string): Promise<void> {
      await sleep(ms)
      const row = rows.get(this.#key(id))
      if (row) row.consumed = Math.floor(Date.now() / 1000)
    }
    async destroy(id: string): Promise<void> {
      await sleep(ms)
      rows.delete(this.#key(id))
    }
    async revokeByGrantId(grantId: string): Promise<void> {
      await sleep(ms)
      for (const key of grants.get(grantId) ?? []) rows.delete(key)
      grants.delete(grantId)
    }
  }
}
