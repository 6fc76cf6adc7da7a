// Writes the published JSON Schemas from the schemas that the code parses with. With --check, it
// changes nothing and fails when a file is not what the code says.
import { readFileSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { configSchema } from '../src/cli/config.ts'
import { conformanceSchema } from '../src/conformance/config.ts'
import { policySchema } from '../src/sweep/policy.ts'

const SCHEMAS = {
  'conformance.schema.json': {
    schema: conformanceSchema,
    title: 'The clients and endpoints of rescind conformance',
  },
  'policy.schema.json': { schema: policySchema, title: 'A Rescind policy' },
  'config.schema.json': {
    schema: configSchema,
    title: 'The configuration of Rescind: rescind.yaml',
  },
}

for (const [file, { schema, title }] of Object.entries(SCHEMAS)) {
  const url = new URL(`../schemas/${file}`, import.meta.url)
  const json = { title, ...z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) }
  const text = `${JSON.stringify(json, null, 2)}\n`
  if (!process.argv.includes('--check')) writeFileSync(url, text)
  else if (readFileSync(url, 'utf8') !== text) {
    console.error(`schemas/${file} is not what the code says. Run: npm run build`)
    process.exitCode = 1
  }
}
