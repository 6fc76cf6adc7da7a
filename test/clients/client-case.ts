/** One thing that a client of others does to the emulated org, and what must come of it. */
export interface ClientCase {
  readonly client: string
  readonly title: string
  /** Gives what was seen, in a few words. Throws where it is not what must be. */
  run(): Promise<string>
}

/** How one case ended. */
export interface CaseResult extends Pick<ClientCase, 'client' | 'title'> {
  readonly seen: string
  readonly ok: boolean
}

/** An assertion tells both values in several lines; a row of the table has room for the first. */
const SEEN_MAX = 200

/** Runs cases one after another, for many build on what those before them left behind. */
export async function runCases(cases: readonly ClientCase[]): Promise<CaseResult[]> {
  const results: CaseResult[] = []
  for (const { client, title, run } of cases) {
    try {
      results.push({ client, title, seen: await run(), ok: true })
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error)
      const seen = said.replaceAll(/\s+/g, ' ').slice(0, SEEN_MAX)
      results.push({ client, title, seen, ok: false })
    }
  }
  return results
}
