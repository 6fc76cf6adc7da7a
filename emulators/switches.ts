/** Fills up switches with their defaults. Throws TypeError where a name is unknown: it may come from a JSON file. */
export function fillSwitches<Switches extends object>(
  defaults: Switches,
  switches: Partial<Switches> = {},
): Switches {
  for (const name of Object.keys(switches)) {
    if (!(name in defaults)) {
      const known = Object.keys(defaults).join(', ')
      throw new TypeError(`unknown switch "${name}"; the switches are ${known}`)
    }
  }
  return { ...defaults, ...switches }
}
