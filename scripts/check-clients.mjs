// Runs clients that others wrote. Against the emulated Salesforce org: Salesforce's own CLI, Rescind logged in by
// that CLI, and simple-salesforce. Against the authority: requests-oauthlib. What cannot be installed is skipped
// with its reason, and that is no failure. Names as arguments choose among them: `… -- requests-oauthlib`.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { startSalesforce } from '../emulators/index.ts'
import { runCases } from '../test/clients/client-case.ts'
import { runRequestsOauthlib } from '../test/clients/requests-oauthlib.ts'
import { rescindSfCases } from '../test/clients/rescind-sf-cases.ts'
import { sfCases } from '../test/clients/sf-cases.ts'
import { openSfCli } from '../test/clients/sf-cli.ts'
import { openPython, runSimpleSalesforce } from '../test/clients/simple-salesforce.ts'
import { installDebian, PYTHON } from './debian-packages.mjs'

/** Pinned, so that a failure is ours and not the news of the day. */
const CLI = '@salesforce/cli@2.150.6'
/** It has some 700 packages; a registry that does not answer must not hold up the check for ever. */
const INSTALL_MS_MAX = 600_000
/** Outside the work tree: it is 300 MB, and outlives node_modules. */
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rescind')

/** 1,201 rows: more than one page, and few enough for one query. */
const SIZE = { seed: 7, size: { users: 60, apps: 16, tokens: 1_200 } }
/** 3,001 rows: more than one query can give. */
const CROWDED = { seed: 7, size: { users: 60, apps: 16, tokens: 3_000 } }

const CHECKS = {
  sf: checkSf,
  'simple-salesforce': checkSimpleSalesforce,
  'requests-oauthlib': checkRequestsOauthlib,
}

const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(CHECKS)
const unknown = chosen.filter((name) => !Object.hasOwn(CHECKS, name))
if (unknown.length > 0) {
  console.error(
    `There is no client ${unknown.join(', ')}. Known: ${Object.keys(CHECKS).join(', ')}.`,
  )
  process.exit(2)
}
const results = []
for (const name of chosen) results.push(...(await CHECKS[name]()))
print(results)
process.exitCode = results.some(({ ok }) => ok === false) ? 1 : 0

async function checkSf() {
  const { folder, trouble } = installCli()
  if (trouble) return [{ client: 'sf', title: 'skipped', seen: trouble }]
  const scratch = mkdtempSync(join(tmpdir(), 'rescind-clients-'))
  await using org = await startSalesforce(SIZE)
  await using crowded = await startSalesforce(CROWDED)
  const homeOf = (name) => openSfCli(folder, join(scratch, name), org.credentials.admin)
  const [byToken, byJwt, byWeb] = ['token', 'jwt', 'web'].map(homeOf)
  const { stdout } = await byToken.run(['version'])
  console.log(stdout.trim())
  try {
    const cases = sfCases({ org, crowded, byToken, byJwt, byWeb })
    return await runCases([...cases, ...rescindSfCases(org, byWeb)])
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Installs the CLI once into the cache; gives its folder, or why there is none. */
function installCli() {
  const folder = join(CACHE, CLI.replace(/^@/, '').replaceAll(/[/@]/g, '-'))
  const done = join(folder, 'installed')
  if (existsSync(done)) return { folder }
  console.log(`Installing ${CLI} into ${folder} (once)…`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"private":true}\n')
  // Without scripts: the CLI needs none of its packages' own, and they are not ours to trust.
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const npm = spawnSync('npm', ['install', ...flags, CLI], {
    cwd: folder,
    encoding: 'utf8',
    timeout: INSTALL_MS_MAX,
  })
  if (npm.status !== 0) {
    return { trouble: `${CLI} could not be installed: ${reasonOf(npm.stderr ?? '')}` }
  }
  writeFileSync(done, '')
  return { folder }
}

/** Picks the first line of npm's errors that is a sentence, not a code. */
function reasonOf(stderr) {
  const lines = [...stderr.matchAll(/^npm error (.+)$/gm)].map(([, line]) => line)
  const sentence = lines.find((line) => line.split(' ').length > 4)
  return (sentence ?? lines[0] ?? 'npm did not answer.').slice(0, 160)
}

async function checkSimpleSalesforce() {
  const python = openPython(CACHE)
  if (python.trouble)
    return [{ client: 'simple-salesforce', title: 'skipped', seen: python.trouble }]
  console.log(`simple-salesforce/${python.version}`)
  await using org = await startSalesforce(SIZE)
  return await runSimpleSalesforce(org, python)
}

async function checkRequestsOauthlib() {
  const client = 'requests-oauthlib'
  const needs = { packages: ['python3-requests-oauthlib'], imports: 'requests_oauthlib' }
  const trouble = installDebian(needs)
  if (trouble) return [{ client, title: 'skipped', seen: trouble }]
  const program =
    'import oauthlib, requests_oauthlib as r; print(f"requests-oauthlib/{r.__version__} oauthlib/{oauthlib.__version__}")'
  console.log(spawnSync(PYTHON, ['-c', program], { encoding: 'utf8' }).stdout.trim())
  return await runRequestsOauthlib(PYTHON)
}

function print(results) {
  const signOf = ({ ok }) => (ok === undefined ? '-' : ok ? 'passed' : 'FAILED')
  const rows = results.map((row) => [signOf(row), row.client, row.title, row.seen])
  const widths = [0, 1, 2].map((at) => Math.max(...rows.map((row) => row[at].length)))
  console.log()
  for (const row of rows) {
    console.log(
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
  }
  for (const { client, ok, seen } of results) {
    if (ok === undefined) console.log(`\nskipped: ${client}: ${seen}`)
  }
  const passed = results.filter(({ ok }) => ok === true).length
  const failed = results.filter(({ ok }) => ok === false).length
  console.log(`\n${passed} passed, ${failed} failed`)
}
