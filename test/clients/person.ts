// Stands in for the browser that a command opens: logs in and allows, as PERSON_USERNAME with PERSON_PASSWORD,
// and goes back to the command. Its argument is the address to open.
import { setTimeout as sleep } from 'node:timers/promises'
import { walkLogin } from '../emulators/clients/login-walk.ts'

/** No person is faster, and the CLI listens for the way back only when its browser's command has ended. */
const TYPING_MS = 3_000

const address = process.argv.find((argument) => argument.startsWith('http')) ?? ''
const redirectUri = new URL(address).searchParams.get('redirect_uri') ?? ''
await sleep(TYPING_MS)
const back = await walkLogin(address, redirectUri, {
  username: process.env.PERSON_USERNAME ?? '',
  password: process.env.PERSON_PASSWORD ?? '',
  decision: 'Allow',
})
await fetch(`${redirectUri}?${back}`)
