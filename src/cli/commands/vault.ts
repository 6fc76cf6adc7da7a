import { Command } from 'commander'
import { formatCounted } from '../../core/counts.ts'
import { type Context, type TenantOptions, withContext } from '../context.ts'
import type { Io } from '../io.ts'
import { withCommonOptions } from '../output.ts'

/** Makes `rescind vault rotate-key`. */
export function vaultCommand(io: Io): Command {
  const command = new Command('vault').description('the sealed secrets of the store')
  command.addCommand(
    withCommonOptions(new Command('rotate-key'))
      .option('--config <file>', 'the configuration (default: ./rescind.yaml, then ~/.rescind)')
      .description('seal everything with a new key; what was cut off is gone on with')
      .action((options: TenantOptions) => withContext(io, options, rotateKey)),
  )
  return command
}

async function rotateKey({ output, store }: Context): Promise<void> {
  const { rotateKey } = await store()
  const { keyId, resealed } = await rotateKey()
  output.result({ keyId, resealed })
  output.say(
    `${formatCounted(resealed, 'secret')} sealed with the new key ${keyId}. Nothing is sealed with the old one any more.`,
  )
}
