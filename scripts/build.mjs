// Builds dist/: JavaScript and declarations by tsc, and the published JSON Schemas.
import { spawnSync } from 'node:child_process'
import { chmodSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

function run(program, ...args) {
  const bin = join(root, 'node_modules', '.bin', program)
  const done = spawnSync(bin, args, { cwd: root, stdio: 'inherit' })
  if (done.status !== 0) process.exit(done.status ?? 1)
}

rmSync(join(root, 'dist'), { recursive: true, force: true })
run('tsc', '-p', 'tsconfig.build.json')
run('node', 'scripts/schemas.ts')
chmodSync(join(root, 'dist/src/cli/main.js'), 0o755)
