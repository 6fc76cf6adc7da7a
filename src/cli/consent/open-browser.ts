import { spawn } from 'node:child_process'

/** Tries to open the person's browser; where there is none, the printed address is enough. */
export function openBrowser(url: string): void {
  const [command, ...args] = openerOf(process.platform, url)
  if (command === undefined) return
  const child = spawn(command, args, { stdio: 'ignore', detached: true })
  child.on('error', () => {})
  child.unref()
}

function openerOf(platform: NodeJS.Platform, url: string): readonly string[] {
  if (platform === 'darwin') return ['open', url]
  if (platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler', url]
  return ['xdg-open', url]
}
