import { type Answer, emptyAnswer, jsonAnswer } from '../answer.ts'
import { insufficientAccess, notFound, restError } from './answer.ts'
import { type Call, jsonOf, queryOf, withSession } from './call.ts'
import { isPermitted, type Org, setUserActive } from './org.ts'
import { shortId } from './record-id.ts'
import { type QueryDesk, tryQuery } from './rest-query.ts'
import { forgetSession, type Session } from './sessions.ts'
import type { SObject } from './soql-object.ts'

/** Records in one call of the composite resource. */
const COMPOSITE_MAX = 200

/** Answers `/sobjects/...`: one record read, changed or deleted; `rest` is the path behind that. */
export function answerSobject(desk: QueryDesk, call: Call, version: string, rest: string): Answer {
  return withSession(call, (session) => {
    const [name = '', id = ''] = rest.split('/').filter((part) => part !== '')
    const object = desk.schema.get(name.toLowerCase())
    if (object === undefined) return notFound()
    if (object.name === 'OauthToken' && id !== 'describe') {
      // Its supported calls are describe and query: no record has an address.
      return call.method === 'GET' ? notFound() : methodNotAllowed()
    }
    if (id === '' || id === 'describe') return describe(object, id, version)
    if (call.method === 'GET') return readRecord(desk, call, object, id, session, version)
    if (call.method === 'DELETE' && object.name === 'AuthSession') {
      return deleteSession(call, id, session)
    }
    if (call.method === 'PATCH') return patchRecord(call, object.name, id, session)
    return methodNotAllowed()
  })
}

/** Answers DELETE /composite/sobjects?ids=…: up to 200 records, each with its own result. */
export function answerCompositeDelete(call: Call): Answer {
  return withSession(call, (session) => {
    const ids = (queryOf(call).get('ids') ?? '').split(',').filter((id) => id !== '')
    if (call.method !== 'DELETE') return methodNotAllowed()
    if (ids.length === 0 || ids.length > COMPOSITE_MAX) {
      return restError(400, 'INVALID_FIELD', `give between 1 and ${COMPOSITE_MAX} ids`)
    }
    return jsonAnswer(
      200,
      ids.map((id) => compositeResult(id, deleteSession(call, id, session))),
    )
  })
}

function compositeResult(id: string, answer: Answer): unknown {
  if (answer.status === 204) return { id, success: true, errors: [] }
  const [error] = JSON.parse(answer.body) as [{ errorCode: string; message: string }]
  const { errorCode: statusCode, message } = error
  return { id, success: false, errors: [{ statusCode, message, fields: [] }] }
}

function methodNotAllowed(): Answer {
  return restError(
    405,
    'METHOD_NOT_ALLOWED',
    "HTTP Method not allowed. Allowed are the calls that this object's reference names",
  )
}

function readRecord(
  desk: QueryDesk,
  call: Call,
  object: SObject,
  id: string,
  session: Session,
  version: string,
): Answer {
  const asked = queryOf(call).get('fields')
  const fields = asked ?? [...object.fields.values()].map((field) => field.name).join(',')
  if (!/^[A-Za-z0-9]{15,18}$/.test(id)) return notFound()
  const text = `SELECT ${fields} FROM ${object.name} WHERE Id = '${id}'`
  const result = tryQuery(desk, call.org, text, session)
  if (!('object' in result)) return result
  const [row] = result.rows
  return row === undefined ? notFound() : jsonAnswer(200, result.write(row, version))
}

function deleteSession(call: Call, id: string, session: Session): Answer {
  const { org } = call
  const target = findSession(org, id)
  if (target === undefined) return goneOrUnknown(org, id)
  if (target.user !== session.user && !isPermitted(org, session, 'ManageUsers')) {
    return insufficientAccess('insufficient access rights on cross-reference id')
  }
  if (call.fault?.kind !== 'ok_without_effect') forgetSession(org.sessions, target)
  return emptyAnswer(204)
}

function findSession(org: Org, id: string): Session | undefined {
  const exact = org.sessions.byId.get(id)
  if (exact !== undefined || id.length === 18) return exact
  for (const session of org.sessions.byId.values()) if (shortId(session.id) === id) return session
  return undefined
}

function goneOrUnknown(org: Org, id: string): Answer {
  return org.sessions.endedIds.has(id)
    ? restError(404, 'ENTITY_IS_DELETED', 'entity is deleted')
    : notFound()
}

function patchRecord(call: Call, object: string, id: string, session: Session): Answer {
  const { org } = call
  if (!isPermitted(org, session, 'ManageUsers')) {
    return insufficientAccess('insufficient access rights on cross-reference id')
  }
  const body = jsonOf(call)
  const short = shortId(id)
  if (object === 'User') {
    const user = org.userByShortId.get(short)
    if (user === undefined) return notFound()
    if (typeof body.IsActive === 'boolean') setUserActive(org, user, body.IsActive)
    return emptyAnswer(204)
  }
  if (object !== 'UserLogin') return methodNotAllowed()
  const user = org.users.find((entry) => shortId(entry.userLoginId) === short)
  if (user === undefined) return notFound()
  if ('UserId' in body) {
    return restError(400, 'INVALID_FIELD_FOR_INSERT_UPDATE', 'Unable to update fields: UserId', [
      'UserId',
    ])
  }
  if (typeof body.IsFrozen === 'boolean') user.isFrozen = body.IsFrozen
  return emptyAnswer(204)
}

const DESCRIBE_TYPES = {
  id: 'id',
  text: 'string',
  token: 'string',
  boolean: 'boolean',
  int: 'int',
  datetime: 'datetime',
} as const

function describe(object: SObject, part: string, version: string): Answer {
  const summary = {
    name: object.name,
    label: object.name,
    keyPrefix: object.keyPrefix,
    queryable: true,
    urls: { sobject: `/services/data/v${version}/sobjects/${object.name}` },
  }
  if (part === '') return jsonAnswer(200, { objectDescribe: summary, recentItems: [] })
  const fields = [...object.fields.values()].map((field) => ({
    name: field.name,
    label: field.name,
    type: DESCRIBE_TYPES[field.type],
    filterable: field.filterable,
    groupable: field.groupable,
    sortable: field.sortable,
  }))
  return jsonAnswer(200, { ...summary, fields })
}
