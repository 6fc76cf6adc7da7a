import { type Answer, emptyAnswer, jsonAnswer } from '../answer.ts'
import { notFound, restError } from './answer.ts'
import { type Call, jsonOf, queryOf, withSession } from './call.ts'
import { PREFIX, recordId } from './record-id.ts'
import { type QueryDesk, tryQuery } from './rest-query.ts'
import type { Session } from './sessions.ts'
import type { QueryResult } from './soql-run.ts'

/** One job of Bulk API 2.0. It is complete as soon as it is made. */
interface Job {
  readonly id: string
  readonly user: number
  readonly query: string
  readonly operation: string
  readonly createdMs: number
  readonly version: string
  readonly result: QueryResult
  state: 'JobComplete' | 'Aborted'
}

/** The bulk queries of one org. */
export interface BulkDesk {
  readonly jobs: Map<string, Job>
  made: number
}

/** Rows of one part of the results, where the client names no `maxRecords`. */
const PART_ROWS = 50_000
/** Jobs kept at most; the oldest go first. */
const JOBS_MAX = 100

/** Makes the bulk desk of an org. */
export function createBulkDesk(): BulkDesk {
  return { jobs: new Map(), made: 0 }
}

/**
 * Answers Bulk API 2.0 query jobs; `rest` is the path behind `/jobs/query`.
 * @see https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/queries.htm
 */
export function answerBulkQuery(
  desks: { readonly query: QueryDesk; readonly bulk: BulkDesk },
  call: Call,
  version: string,
  rest: string,
): Answer {
  return withSession(call, (session) => {
    const [id = '', part = ''] = rest.split('/').filter((piece) => piece !== '')
    if (id === '' && call.method === 'POST') return createJob(desks, call, version, session)
    const job = desks.bulk.jobs.get(id)
    if (job === undefined || job.user !== session.user) return notFound()
    if (part === 'results' && call.method === 'GET') return resultsPart(call, job)
    if (call.method === 'GET') return jsonAnswer(200, describe(call, job))
    if (call.method === 'PATCH') job.state = 'Aborted'
    else if (call.method === 'DELETE') desks.bulk.jobs.delete(id)
    else return notFound()
    return call.method === 'PATCH' ? jsonAnswer(200, describe(call, job)) : emptyAnswer(204)
  })
}

function createJob(
  desks: { readonly query: QueryDesk; readonly bulk: BulkDesk },
  call: Call,
  version: string,
  session: Session,
): Answer {
  const { operation = 'query', query = '' } = jsonOf(call)
  const text = String(query)
  if (/\boffset\b|\bcount\s*\(|\bgroup\s+by\b/i.test(text)) {
    const message = 'OFFSET, aggregates and GROUP BY are not supported in Bulk API 2.0'
    return restError(400, 'INVALIDJOB', message)
  }
  const result = tryQuery(desks.query, call.org, text, session)
  if (!('object' in result)) return result
  desks.bulk.made += 1
  const id = recordId(PREFIX.job, desks.bulk.made)
  const job: Job = {
    id,
    user: session.user,
    query: text,
    operation: String(operation),
    createdMs: call.org.now(),
    version,
    result,
    state: 'JobComplete',
  }
  desks.bulk.jobs.set(id, job)
  const [oldest] = desks.bulk.jobs.keys()
  if (desks.bulk.jobs.size > JOBS_MAX && oldest !== undefined) desks.bulk.jobs.delete(oldest)
  // As a real one starts: the client has to ask again before it is told of the end.
  return jsonAnswer(200, { ...describe(call, job), state: 'UploadComplete' })
}

function describe(call: Call, job: Job): Record<string, unknown> {
  const createdDate = new Date(job.createdMs).toISOString().replace('Z', '+0000')
  return {
    id: job.id,
    operation: job.operation,
    object: job.result.object.name,
    createdById: call.org.users[job.user]!.id,
    createdDate,
    systemModstamp: createdDate,
    state: job.state,
    concurrencyMode: 'Parallel',
    contentType: 'CSV',
    apiVersion: Number(job.version),
    lineEnding: 'LF',
    columnDelimiter: 'COMMA',
    numberRecordsProcessed: job.result.rows.length,
    retries: 0,
    totalProcessingTime: 1,
  }
}

function resultsPart(call: Call, job: Job): Answer {
  const query = queryOf(call)
  const from = Number(query.get('locator') ?? 0) || 0
  const size = Number(query.get('maxRecords') ?? PART_ROWS) || PART_ROWS
  const columns = job.result.columns.map((column) => column.displayName)
  const rows = job.result.rows.slice(from, from + size)
  const lines = rows.map((row) => {
    const record = job.result.write(row, job.version)
    return columns.map((column) => csvCell(valueAt(record, column.split('.')))).join(',')
  })
  const to = from + rows.length
  return {
    status: 200,
    type: 'text/csv',
    body: `${[columns.map(csvCell).join(','), ...lines].join('\n')}\n`,
    headers: {
      'sforce-locator': to < job.result.rows.length ? String(to) : 'null',
      'sforce-numberofrecords': String(rows.length),
    },
  }
}

function valueAt(record: unknown, names: readonly string[]): unknown {
  let value: unknown = record
  for (const name of names) value = (value as Record<string, unknown> | null)?.[name] ?? null
  return value
}

function csvCell(value: unknown): string {
  return value === null ? '""' : `"${String(value).replaceAll('"', '""')}"`
}
