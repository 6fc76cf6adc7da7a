// Packs the package, installs the tarball in an empty folder, imports every export, and runs the
// command: what is published is what works.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** It takes some seconds. */
const INSTALL_MS_MAX = 120_000
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const folder = mkdtempSync(join(tmpdir(), 'rescind-tarball-'))
const node = join(root, 'node_modules', '.bin', 'node')
const run = (program, args, cwd) =>
  execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

try {
  const packed = run(
    'npm',
    ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder],
    root,
  )
  const tarball = join(folder, packed.trim().split('\n').at(-1))
  writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}\n')
  install(tarball, folder)
  const { exports, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  for (const name of Object.keys(exports).filter((path) => !path.endsWith('.json'))) {
    const specifier = `rescind${name.slice(1)}`
    const script = `const m = await import(${JSON.stringify(specifier)}); console.log(Object.keys(m).length)`
    const count = Number(run(node, ['--input-type=module', '-e', script], folder))
    if (!(count > 0)) throw new Error(`${specifier} exports nothing`)
    console.log(`${specifier}: ${count} exports`)
  }
  const bin = join(folder, 'node_modules/rescind/dist/src/cli/main.js')
  const said = run(node, [bin, '--version'], folder).trim()
  if (said !== version) throw new Error(`the command says ${said}, the package ${version}`)
  console.log(`rescind --version: ${said}`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** A registry that never answers would hold everything up: the second try is the last. */
function install(tarball, folder) {
  const args = ['install', '--no-audit', '--no-fund', '--loglevel=error', tarball]
  const options = { cwd: folder, encoding: 'utf8', timeout: INSTALL_MS_MAX }
  try {
    execFileSync('npm', args, options)
  } catch (error) {
    if (error.code !== 'ETIMEDOUT') throw error
    console.log(`npm install did not end within ${INSTALL_MS_MAX / 1000} s: once more`)
    execFileSync('npm', args, options)
  }
}
