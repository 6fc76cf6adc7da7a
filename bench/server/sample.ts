/** Puts texts in random order, in place, and returns some of them. */
export function sampleOf(texts: string[], count: number): string[] {
  for (let index = texts.length - 1; index > 0; index -= 1) {
    const other = Math.floor(Math.random() * (index + 1))
    ;[texts[index], texts[other]] = [texts[other] as string, texts[index] as string]
  }
  return texts.slice(0, count)
}
