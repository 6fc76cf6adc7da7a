/** What one case found. Closed: every report has an arm for each. */
export type Verdict =
  | { readonly verdict: 'pass'; readonly note?: string | undefined }
  | { readonly verdict: 'fail'; readonly what: string }
  /** A choice that the standards leave, and which of the allowed ways the server took. */
  | { readonly verdict: 'deviation'; readonly way: string }
  /** Not run: what is missing, and what to add. */
  | { readonly verdict: 'skipped'; readonly why: string }
  /** Run, and nothing can be said. */
  | { readonly verdict: 'inconclusive'; readonly why: string }

export type VerdictName = Verdict['verdict']

/** The names of the verdicts, the gravest first. */
export const VERDICTS = [
  'fail',
  'inconclusive',
  'deviation',
  'skipped',
  'pass',
] as const satisfies readonly VerdictName[]

/** Ends a case at once with a verdict; only the runner catches it. */
export class CaseEnd extends Error {
  readonly verdict: Verdict

  constructor(verdict: Verdict) {
    super(sentenceOf(verdict))
    this.name = 'CaseEnd'
    this.verdict = verdict
  }
}

/** Returns a verdict's own sentence; empty where a pass has nothing to add. */
export function sentenceOf(verdict: Verdict): string {
  switch (verdict.verdict) {
    case 'pass':
      return verdict.note ?? ''
    case 'fail':
      return verdict.what
    case 'deviation':
      return verdict.way
    case 'skipped':
    case 'inconclusive':
      return verdict.why
  }
}

export const pass = (note?: string): Verdict => ({ verdict: 'pass', note })

export const deviation = (way: string): Verdict => ({ verdict: 'deviation', way })

/** @throws CaseEnd always: the server did what it must not, or not what it must */
export function fail(what: string): never {
  throw new CaseEnd({ verdict: 'fail', what })
}

/** @throws CaseEnd always: the case does not apply, or lacks something */
export function skip(why: string): never {
  throw new CaseEnd({ verdict: 'skipped', why })
}

/** @throws CaseEnd always: nothing can be said */
export function unclear(why: string): never {
  throw new CaseEnd({ verdict: 'inconclusive', why })
}
