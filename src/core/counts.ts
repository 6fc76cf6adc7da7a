const numbers = new Intl.NumberFormat('en-US')

/** Writes a count with thousands apart: `11,812`. */
export function formatCount(count: number): string {
  return numbers.format(count)
}

/** Writes a count with its noun: `1 token`, `3 tokens`. */
export function formatCounted(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`
}
