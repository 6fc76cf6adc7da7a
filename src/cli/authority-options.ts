import type { Command } from 'commander'
import { type CommonOptions, withCommonOptions } from './output.ts'

/** The options of a command that works on the authority. */
export interface AuthorityOptions extends CommonOptions {
  readonly config?: string
}

/** Adds the options of a command that works on the authority. */
export function withAuthorityOptions(command: Command): Command {
  return withCommonOptions(command).option(
    '--config <file>',
    'the configuration (default: ./rescind.yaml, then ~/.rescind)',
  )
}
