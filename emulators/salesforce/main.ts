import { runMain } from '../run-main.ts'
import { startSalesforce } from './start.ts'

/** Runs an org in a process of its own; see {@link runMain}. Prints `{url, organizationId, credentials}`. */
await runMain(startSalesforce, ({ url, organizationId, credentials }) => ({
  url,
  organizationId,
  credentials,
}))
