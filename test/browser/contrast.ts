/** A text on the page with too little contrast: WCAG 2.2, success criterion 1.4.3, level AA. */
export interface FaintText {
  readonly text: string
  readonly color: string
  readonly background: string
  readonly ratio: number
}

/**
 * Finds texts below 4.5 to 1. Runs in the page, so it stands alone: nothing outside is in scope.
 *
 * @see https://www.w3.org/TR/WCAG22/#contrast-minimum
 */
export const FIND_FAINT_TEXTS = `(() => {
  const channels = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number)
  const luminance = (color) => {
    const [r, g, b] = channels(color).slice(0, 3).map((c) => {
      const s = c / 255
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const backgroundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor
      if ((channels(color)[3] ?? 1) === 1) return color
    }
    return 'rgb(255, 255, 255)'
  }
  const found = []
  for (const element of document.body.querySelectorAll('*')) {
    const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join('').trim()
    if (text === '') continue
    const color = getComputedStyle(element).color
    const background = backgroundOf(element)
    const [light, dark] = [luminance(color), luminance(background)].sort((a, b) => b - a)
    const ratio = (light + 0.05) / (dark + 0.05)
    if (ratio < 4.5) found.push({ text, color, background, ratio })
  }
  return found
})()`
