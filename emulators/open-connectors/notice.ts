import type { Account } from './account.ts'
import type { Instance } from './instance.ts'

const OWNER = 'owner@acme.example'

/** Tells the account's owner by e-mail that an instance was disabled; no other notice exists. */
export function sendNotice(account: Account, instance: Instance): void {
  const { notices, emailDelayMs } = account.switches
  const times = { never: 0, once: 1, twice: 2 }[notices]
  for (let n = 0; n < times; n += 1) {
    account.emails.push({
      id: `email-${account.emails.length + 1}`,
      at: account.clock.now() + emailDelayMs,
      to: OWNER,
      subject: `Connector instance ${instance.id} was disabled`,
      text:
        `The connector instance "${instance.name}" (${instance.id}, ${instance.element.key}) was disabled ` +
        'because its authentication failed five times. Enable it, and authenticate it again.',
      instanceId: instance.id,
    })
  }
}
