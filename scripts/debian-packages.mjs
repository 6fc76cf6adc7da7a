// Gets what a check needs of Debian's packages, where that may be.
import { spawnSync } from 'node:child_process'

/** Debian's own, for a newer one on the PATH does not see Debian's packages. */
export const PYTHON = '/usr/bin/python3'
/** Without a network, apt-get tries for minutes. */
const INSTALL_MS_MAX = 180_000

/** Returns why Debian's packages of these Python modules cannot be had, or undefined when they are there. */
export function installDebian({ packages, imports }) {
  const names = packages.join(' ')
  const has = () => spawnSync(PYTHON, ['-c', `import ${imports}`]).status === 0
  if (has()) return undefined
  if (spawnSync('apt-get', ['--version']).status !== 0) {
    return `${names} is not installed, and this is not a Debian system.`
  }
  if (process.getuid?.() !== 0) {
    return `${names} is not installed, and installing it needs root: apt-get install ${names}`
  }
  console.log(`Installing ${names}…`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  spawnSync('apt-get', ['update', '-qq'], { env, stdio: 'ignore', timeout: INSTALL_MS_MAX })
  const args = ['install', '-y', '-qq', '--no-install-recommends', ...packages]
  const done = spawnSync('apt-get', args, { env, encoding: 'utf8', timeout: INSTALL_MS_MAX })
  if (has()) return undefined
  return `${names} could not be installed: ${(done.stderr || '').trim().split('\n').at(-1) || 'apt-get gave no reason.'}`
}
