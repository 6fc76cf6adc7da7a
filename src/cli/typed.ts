/** One long word with digits and letters of both cases, or a longer one: a token, and hardly ever a name. */
const TOKEN_LIKE = /^(?=.*\d)(?:(?=.*[a-z])(?=.*[A-Z])|(?=.{32}))[\x21-\x7e]{20,}$/
/** What is no token for all that: a path from a root, an address, the name of a file. */
const NO_TOKEN = /^(\.{0,2}\/|~\/|https?:)|\.(jsonl?|ya?ml|csv|html|xml|md|txt|pem|db|plan|undo)$/i
/** Messages repeat no more of what was typed. */
const REPEATED_MAX = [80, 60, 40]

/**
 * Returns a message without the words of a command line that may be a token which somebody typed where a
 * name belongs: standard error goes into logs.
 */
export function hideTyped(message: string, args: readonly string[]): string {
  let shown = message
  for (const word of args.flatMap((arg) => arg.split(/^(--[a-z-]+)=/))) {
    if (!TOKEN_LIKE.test(word) || NO_TOKEN.test(word)) continue
    for (const form of [word, ...REPEATED_MAX.map((max) => word.slice(0, max))]) {
      shown = shown.replaceAll(form, '[not repeated]')
    }
  }
  return shown
}

/**
 * The sentence of a usage error, in the voice of all others. Commander repeats what was typed, which may be
 * a token that was pasted: an argument is left out, and so is what stands behind an option.
 */
export function plainError(text: string): string {
  return `rescind: ${withoutTyped(text.replace(/^error: /, ''))}`
}

const NEVER_ARGUMENT = 'A token is never given as an argument.'

function withoutTyped(text: string): string {
  const meant = /Did you mean [\w ,-]+\?/.exec(text)?.[0]
  if (text.startsWith('unknown command')) {
    return `There is no such command. ${meant ?? NEVER_ARGUMENT}\n`
  }
  const tooMany = /^too many arguments for '([\w-]+)'\. Expected (\d+) arguments?/.exec(text)
  if (tooMany) {
    const [, command, expected] = tooMany
    const takes = expected === '0' ? 'none' : expected
    return `There are too many arguments for '${command}', which takes ${takes}. ${NEVER_ARGUMENT}\n`
  }
  if (text.startsWith('unknown option')) {
    const name = /^unknown option '(--[a-z][a-z-]{0,30})(?=[='])/.exec(text)?.[1]
    return `There is no option${name ? ` ${name}` : ' like that'}. ${meant ?? NEVER_ARGUMENT}\n`
  }
  const invalid =
    /^(option '[^']+') argument '[\s\S]*' is invalid\. ([^']*)$/.exec(text) ??
    /^command-argument value '[\s\S]*' is invalid for (argument '[^']+')\. ([^']*)$/.exec(text)
  return invalid ? `${invalid[1]} does not take what was given. ${invalid[2]}` : text
}
