import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import {
  type OpenConnectorsAccount,
  type SalesforceOrg,
  startOpenConnectors,
  startSalesforce,
} from '../../emulators/index.ts'
import { makeInstance } from '../../examples/demo/instance.ts'
import { rescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

const root = resolve(import.meta.dirname, '../..')
const read = (page: string) => readFileSync(join(root, page), 'utf8')
const block = (page: string, start: string) =>
  [...read(page).matchAll(/^```yaml\n(.*?)^```$/gms)]
    .map(([, text = '']) => text)
    .find((text) => text.startsWith(start)) ?? ''

interface Step {
  readonly name?: string
  readonly uses?: string
  readonly run?: string
  readonly env?: Readonly<Record<string, string>>
  readonly with?: Readonly<Record<string, string>>
}

const workflow = parse(block('docs/drill.md', '# .github/workflows/drill.yaml'))
const { steps, strategy } = workflow.jobs.drill as {
  readonly steps: readonly Step[]
  readonly strategy: { readonly matrix: { readonly depth: readonly string[] } }
}
const drill = steps.find(({ name }) => name === 'Drill') as Step
/** As GitHub fills in what stands in `${{ … }}`. */
const filled = (text: string, values: Readonly<Record<string, string>>) =>
  text.replace(/\$\{\{ ([\w.]+) \}\}/g, (all, name: string) => values[name] ?? all)

describe('docs/drill.md: every night, by GitHub Actions', () => {
  test('is a workflow: each step uses an action of a version, or runs something', () => {
    expect(Object.keys(workflow)).toEqual(['name', 'on', 'concurrency', 'jobs'])
    expect(workflow.on.schedule[0].cron).toMatch(/^\S+( \S+){4}$/)
    for (const { uses, run } of steps) {
      expect(uses === undefined).toBe(run !== undefined)
      if (uses) expect(uses).toMatch(/^[\w-]+\/[\w-]+@v\d+$/)
    }
  })

  test('installs what the drill needs, and Node as new as that', () => {
    const { name, bin, peerDependencies, engines } = JSON.parse(read('package.json'))
    const [, ...packages] = /^npm install ([\w-]+) ([\w-]+)$/.exec(
      steps.find(({ run }) => run?.startsWith('npm'))?.run ?? '',
    ) as readonly string[]
    expect(packages).toEqual([name, ...Object.keys(peerDependencies)])
    expect(Object.keys(bin)).toEqual(['rescind'])
    const node = steps.find(({ uses }) => uses?.startsWith('actions/setup-node'))?.with
    expect(`>=${node?.['node-version']}`).toBe(engines.node)
  })

  test('gives the variables that the configurations of the docs read', () => {
    const configured = [block('docs/drill.md', 'drill:'), block('docs/open-connectors.md', '#')]
    const names = [...configured.join('').matchAll(/\$\{env:(\w+)\}/g)].map(([, name]) => name)
    expect(names.length).toBe(4)
    expect(Object.keys(drill.env ?? {}).sort()).toEqual(['RESCIND_KEY', ...names].sort())
    for (const [name, value] of Object.entries(drill.env ?? {})) {
      expect(value).toBe(`\${{ secrets.${name} }}`)
    }
  })
})

describe('its command, as it stands there', () => {
  let org: SalesforceOrg
  let account: OpenConnectorsAccount
  let instance: string
  beforeAll(async () => {
    org = await startSalesforce({ seed: 31, size: { users: 40, apps: 16, tokens: 300 } })
    account = await startOpenConnectors({ salesforceUrl: org.url, refreshRetryMs: 60 })
    instance = String(await makeInstance(org, account))
  })
  afterAll(async () => {
    await account.close()
    await org.close()
  })

  const config = () => {
    const { connected, limited } = org.credentials
    const callbackUrl = 'http://127.0.0.1:4711/callback'
    const probe = '/hubs/crm/accounts?pageSize=1'
    const app = { apiKey: connected.clientId, apiSecret: '${env:SFDC_SECRET}', probe }
    return {
      tenants: {
        org: {
          ...{ provider: 'salesforce', url: org.url },
          app: {
            ...{ clientId: connected.clientId, clientSecret: '${env:SFDC_SECRET}' },
            ...{ redirectUri: callbackUrl, options: { appName: 'Data Sync', rotation: 'never' } },
          },
        },
      },
      openConnectors: {
        ...{ url: account.apiUrl, callbackUrl, userSecret: '${env:OC_USER_SECRET}' },
        organizationSecret: '${env:OC_ORGANIZATION_SECRET}',
        elements: { sfdc: { ...app, scope: 'api id refresh_token' } },
      },
      drill: {
        users: [limited.userId],
        consent: {
          // Whether this machine has a browser is no matter of the workflow's.
          how: 'form',
          fields: { username: limited.username, password: '${env:DRILL_PASSWORD}' },
        },
      },
    }
  }

  test.each(strategy.matrix.depth)(
    'depth %s: passes, and leaves what the next steps take',
    async (depth) => {
      // Each job of the matrix has a machine of its own.
      using home = tempHome()
      writeFileSync(join(home.path, 'rescind.yaml'), JSON.stringify(config()))
      const values = { 'vars.DRILL_INSTANCE': instance, 'matrix.depth': depth }
      const [npx, program, ...args] = filled(drill.run ?? '', values)
        .trim()
        .split(/\s+/)
      expect([npx, program]).toEqual(['npx', 'rescind'])
      const env = {
        RESCIND_KEY: Buffer.alloc(32, 3).toString('base64'),
        OC_USER_SECRET: account.credentials.userSecret,
        OC_ORGANIZATION_SECRET: account.credentials.organizationSecret,
        SFDC_SECRET: org.credentials.connected.clientSecret,
        DRILL_PASSWORD: org.credentials.limited.password,
      }
      const ran = await rescind(args, { home: home.path, env })
      expect(ran.exitCode, ran.stderr + ran.stdout).toBe(0)
      const report = steps.find(({ uses }) =>
        uses?.startsWith('mikepenz/action-junit-report'),
      )?.with
      expect(readFileSync(join(home.path, report?.report_paths ?? ''), 'utf8')).toMatch(
        /failures="0"/,
      )
      const kept = steps.find(({ uses }) => uses?.startsWith('actions/upload-artifact'))?.with
      expect(readFileSync(join(home.path, kept?.path ?? '', 'evidence.jsonl'), 'utf8')).not.toBe('')
    },
  )
})
