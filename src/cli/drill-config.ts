import { z } from 'zod'
import { RescindError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'
import type { SectionPlace } from './authority-config.ts'

/** The section `drill` of `rescind.yaml`. */
export const drillSchema = z.strictObject({
  users: z
    .array(z.string())
    .default([])
    .describe('Provider users who may be drilled: their id, org/id, or name'),
  consent: z
    .strictObject({
      how: z
        .enum(['browser', 'form', 'link'])
        .optional()
        .describe('How the consent is got; the best that is there otherwise'),
      fields: z
        .record(z.string(), z.string())
        .default({})
        .describe('Inputs of the login by name; passwords as ${env:NAME} or ${file:path}'),
      stranger: z
        .record(z.string(), z.string())
        .default({})
        .describe('The same inputs for another person, for the fault wrong-person'),
      allow: z.string().optional().describe('name=value of the button that consents'),
      deny: z.string().optional().describe('name=value of the button that refuses'),
      browser: z.string().optional().describe('The program of a Chromium'),
    })
    .default({ fields: {}, stranger: {} }),
})

export interface DrillConfig {
  readonly users: readonly string[]
  readonly consent: {
    readonly how: 'browser' | 'form' | 'link' | undefined
    readonly fields: Readonly<Record<string, Secret>>
    readonly stranger: Readonly<Record<string, Secret>>
    readonly allow: string | undefined
    readonly deny: string | undefined
    readonly browser: string | undefined
  }
}

/** Inputs whose value must not stand in the file. */
const SECRET_FIELD = /pass|secret|pin|otp|token/i

/**
 * Reads the section `drill`.
 *
 * @throws RescindError `config_invalid`
 */
export function readDrill(section: z.output<typeof drillSchema>, where: SectionPlace): DrillConfig {
  const { how, allow, deny, browser } = section.consent
  const fields = fillFields(section.consent.fields, 'drill.consent.fields', where)
  const stranger = fillFields(section.consent.stranger, 'drill.consent.stranger', where)
  return { users: section.users, consent: { how, fields, stranger, allow, deny, browser } }
}

function fillFields(
  fields: Readonly<Record<string, string>>,
  place: string,
  where: SectionPlace,
): Readonly<Record<string, Secret>> {
  const filled = Object.entries(fields).map(([name, text]): [string, Secret] => {
    const at = `${place}.${name}`
    const value = where.fill(text, at)
    if (value instanceof Secret) return [name, value]
    if (!SECRET_FIELD.test(name)) return [name, new Secret(String(value))]
    throw new RescindError(
      'config_invalid',
      `${where.path}: ${at} is a secret that stands in the file. Name where it is: \${env:NAME} or \${file:path}.`,
    )
  })
  return Object.fromEntries(filled)
}
