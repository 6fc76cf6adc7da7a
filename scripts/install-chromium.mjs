// Installs Chromium for the tests in test/browser, where that is allowed: Debian or Ubuntu, as root.
// Elsewhere it says what to do, and those tests are skipped.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

const found = BROWSERS.find((path) => existsSync(path))
if (found !== undefined) {
  console.log(`Chromium is there: ${found}`)
} else if (!existsSync('/usr/bin/apt-get')) {
  console.log('skipped: no apt-get here. Install Chromium or Chrome by hand to run test/browser.')
} else if (process.getuid?.() !== 0) {
  console.log('skipped: not root. Run "sudo apt-get install chromium" to run test/browser.')
} else {
  aptGet('update')
  aptGet('install', '-y', '--no-install-recommends', 'chromium', 'fonts-liberation')
}

function aptGet(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const { status } = spawnSync('apt-get', ['-q', ...args], { stdio: 'inherit', env })
  if (status !== 0) {
    console.log(`skipped: apt-get ${args[0]} failed, so test/browser will not run.`)
    process.exit(0)
  }
}
