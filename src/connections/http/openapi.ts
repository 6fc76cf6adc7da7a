import { z } from 'zod'
import { VERSION } from '../../core/version.ts'
import { type Promised, ROUTES, type Route } from './routes.ts'
import { idShape } from './shapes.ts'

/**
 * Returns the OpenAPI 3.1 document of the API, made of the routes that it is served by.
 *
 * @param basePath where the routes are: `/connections`
 * @see https://spec.openapis.org/oas/v3.1.1.html
 */
export function openApiDocument(basePath: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const [operationId, route] of Object.entries(ROUTES)) {
    const path = basePath + route.path
    paths[path] = { ...paths[path], [route.method]: operationOf(operationId, route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Rescind connections',
      version: VERSION,
      description:
        'OAuth connections: their health, their reconnect, their end. No answer has a token.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'rescind connection key add NAME' },
      },
    },
    security: [{ key: [] }],
  }
}

function operationOf(operationId: string, route: Route): Record<string, unknown> {
  const answers = Object.entries(route.answers).map(([status, promised]) => [
    status,
    answerOf(promised),
  ])
  return {
    operationId,
    summary: route.summary,
    ...(route.isPublic && { security: [] }),
    parameters: parametersOf(route),
    ...(route.body && {
      requestBody: {
        required: true,
        content: { 'application/json': { schema: schemaOf(route.body, 'input') } },
      },
    }),
    responses: Object.fromEntries(answers),
  }
}

function parametersOf({ path, query }: Route): readonly object[] {
  const id = schemaOf(idShape, 'input').properties as Record<string, object>
  const inPath = path.includes('{id}')
    ? [{ name: 'id', in: 'path', required: true, schema: id.id }]
    : []
  const properties = query ? schemaOf(query, 'input').properties : {}
  const inQuery = Object.entries(properties as Record<string, object>).map(([name, schema]) => ({
    ...{ name, in: 'query', required: false, schema },
  }))
  return [...inPath, ...inQuery]
}

function answerOf({ says, shape, type }: Promised): object {
  const whatever = { type: type === undefined ? 'object' : 'string' }
  const schema = shape ? schemaOf(shape, 'output') : whatever
  return { description: says, content: { [type ?? 'application/json']: { schema } } }
}

/** OpenAPI 3.1 speaks JSON Schema 2020-12, as zod writes it. */
function schemaOf(shape: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(shape, { io, unrepresentable: 'any' })
  return schema
}
