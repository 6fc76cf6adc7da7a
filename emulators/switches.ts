/** The values of each switch that takes one of some words or numbers. */
export type Choices<Switches> = {
  readonly [Name in keyof Switches as Switches[Name] extends boolean
    ? never
    : number extends Switches[Name]
      ? never
      : Name]: readonly Switches[Name][]
}

/** Fills up switches with their defaults. Throws TypeError where a name or a value is unknown: it may come from a JSON file. */
export function fillSwitches<Switches extends object>(
  defaults: Switches,
  choices: Choices<Switches>,
  switches: Partial<Switches> = {},
): Switches {
  const ofNames = Object.entries(defaults)
  for (const [name, value] of Object.entries(switches)) {
    const normal = ofNames.find(([known]) => known === name)?.[1]
    if (normal === undefined) {
      const known = Object.keys(defaults).join(', ')
      throw new TypeError(`unknown switch "${name}"; the switches are ${known}`)
    }
    const [fits, wanted] = judge(value, normal, (choices as Record<string, unknown[]>)[name])
    if (!fits) throw new TypeError(`the switch "${name}" takes ${wanted}`)
  }
  return { ...defaults, ...switches }
}

function judge(value: unknown, normal: unknown, known?: readonly unknown[]): [boolean, string] {
  if (known !== undefined) return [known.includes(value), known.join(', ')]
  if (typeof normal === 'boolean') return [typeof value === 'boolean', 'true, false']
  return [Number.isInteger(value) && (value as number) >= 0, 'a whole number from 0']
}
