import { printPostman } from './postman-collection.ts'
import { type PrintableField, type PrintableRequest, VARIABLES } from './printable-request.ts'

/** What a request can be printed as. */
export const PRINT_FORMS = ['curl', 'httpie', 'fetch', 'postman'] as const

export type PrintForm = (typeof PRINT_FORMS)[number]

/** Prints a request so that it runs as printed, each secret read from its environment variable. */
export function printRequest(request: PrintableRequest, form: PrintForm): string {
  switch (form) {
    case 'curl':
      return printCurl(request)
    case 'httpie':
      return printHttpie(request)
    case 'fetch':
      return printFetch(request)
    case 'postman':
      return printPostman(request)
  }
}

/**
 * For any POSIX shell. Secrets go to curl through a pipe, as lines of a configuration file: as
 * arguments, every user of the machine could read them.
 *
 * @see https://curl.se/docs/manpage.html#-K
 */
function printCurl(request: PrintableRequest): string {
  const secret = request.fields.flatMap((field) =>
    'variable' in field
      ? [`  printf 'data-urlencode = "${field.name}=%s"\\n' "$(quoted "$${field.variable}")"`]
      : [],
  )
  if (request.basicClientId !== undefined) {
    secret.push(
      `  printf 'user = "%s:%s"\\n' ${shell(request.basicClientId)} "$(encoded "$${VARIABLES.clientSecret}")"`,
    )
  }
  const plain = request.fields.flatMap((field) =>
    'value' in field ? [`  --data-urlencode ${shell(`${field.name}=${field.value}`)} \\`] : [],
  )
  return lines([
    ...needs(request, '#'),
    `quoted() { printf '%s' "$1" | sed 's/["\\\\]/\\\\&/g'; }`,
    ...(request.basicClientId === undefined ? [] : [ENCODED]),
    '{',
    ...secret,
    '} | curl --silent --show-error --include --config - \\',
    `  --header ${shell(`content-type: ${request.contentType}`)} \\`,
    ...plain,
    `  ${shell(request.url)}`,
  ])
}

/** Form-encodes the three characters that a server's decoding would change; then quotes for curl. */
const ENCODED = `encoded() { quoted "$(printf '%s' "$1" | sed 's/%/%25/g; s/+/%2B/g; s/ /+/g')"; }`

/**
 * For bash and zsh: process substitution keeps the secrets out of the arguments.
 *
 * @see https://httpie.io/docs/cli/file-upload-forms
 */
function printHttpie(request: PrintableRequest): string {
  const item = (field: PrintableField) =>
    'variable' in field
      ? `${field.name}=@<(printf '%s' "$${field.variable}")`
      : shell(`${field.name}=${field.value}`)
  const items = request.fields.map(item)
  if (request.basicClientId !== undefined) {
    const pair = `printf '%s:%s' ${shell(request.basicClientId)} "$(encoded)" | base64 | tr -d '\\n'`
    items.unshift(`authorization:@<(printf 'Basic %s' "$(${pair})")`)
  }
  const encoded = `encoded() { printf '%s' "$${VARIABLES.clientSecret}" | sed 's/%/%25/g; s/+/%2B/g; s/ /+/g'; }`
  return lines([
    ...needs(request, '#'),
    ...(request.basicClientId === undefined ? [] : [encoded]),
    `http --ignore-stdin --print=hb --form POST ${shell(request.url)} \\`,
    `  ${items.join(' \\\n  ')}`,
  ])
}

/** For node: a module without dependencies. */
function printFetch(request: PrintableRequest): string {
  const body = request.fields.map((field) =>
    'variable' in field
      ? `    ${field.name}: process.env.${field.variable},`
      : `    ${field.name}: ${text(field.value)},`,
  )
  const authorization =
    request.basicClientId === undefined
      ? []
      : [
          `    authorization: \`Basic \${btoa(\`${request.basicClientId}:\${encodeURIComponent(process.env.${VARIABLES.clientSecret})}\`)}\`,`,
        ]
  return lines([
    ...needs(request, '//'),
    `const response = await fetch(${text(request.url)}, {`,
    "  method: 'POST',",
    "  redirect: 'manual',",
    '  headers: {',
    `    'content-type': ${text(request.contentType)},`,
    ...authorization,
    '  },',
    '  body: new URLSearchParams({',
    ...body,
    '  }),',
    '})',
    'console.log(response.status, await response.text())',
  ])
}

function needs({ variables }: PrintableRequest, comment: string): string[] {
  const names = variables.join(' and ')
  const assertion = variables.includes(VARIABLES.clientAssertion)
    ? [
        `${comment} ${VARIABLES.clientAssertion}: a JWT signed by the client (RFC 7523), still valid.`,
      ]
    : []
  return [`${comment} Needs ${names} in the environment.`, ...assertion]
}

/** Quotes for a POSIX shell. */
function shell(value: string): string {
  return `'${value.replaceAll("'", `'\\''`)}'`
}

/** Quotes for JavaScript. */
function text(value: string): string {
  return `'${JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
}

function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`
}
