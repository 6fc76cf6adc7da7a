import { runMain } from '../run-main.ts'
import { startOpenConnectors } from './start.ts'

/** Runs an account in a process of its own; see {@link runMain}. Prints `{url, apiUrl, credentials}`. */
await runMain(startOpenConnectors, ({ url, apiUrl, credentials }) => ({
  url,
  apiUrl,
  credentials,
}))
