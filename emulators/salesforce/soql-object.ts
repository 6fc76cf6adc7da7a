import type { Session } from './sessions.ts'
import { noSuchColumn, noSuchRelationship } from './soql-error.ts'
import type { WhereTree } from './soql-where.ts'

export type Scalar = string | number | boolean | null
/** Ids compare in both lengths, texts without regard to case, tokens as they are; datetimes are milliseconds. */
export type FieldType = 'id' | 'text' | 'token' | 'boolean' | 'int' | 'datetime'

/** One field of an object. The row is whatever the object's table holds. */
export interface Field {
  readonly name: string
  readonly type: FieldType
  readonly get: (row: unknown, caller: Session) => Scalar
  readonly filterable: boolean
  readonly groupable: boolean
  readonly sortable: boolean
}

/** A parent that a field path may pass through. */
export interface Relation {
  readonly name: string
  readonly object: () => SObject
  readonly get: (row: unknown) => unknown
}

/** One object of the org: its fields by lower-case name, its parents, and its rows. */
export interface SObject {
  readonly name: string
  readonly keyPrefix: string
  readonly fields: ReadonlyMap<string, Field>
  readonly relations: ReadonlyMap<string, Relation>
  /** Calls `visit` with each row that the caller sees and the clause accepts, in the table's order. */
  readonly select: (
    caller: Session,
    where: WhereTree | undefined,
    visit: (row: unknown) => void,
  ) => void
  /** Counts the rows that `select` would visit. */
  readonly count: (caller: Session, where: WhereTree | undefined) => number
  /** Rows of one page. */
  readonly pageRows: number
  /** Rows of one query at most; past them it ends without a word. */
  readonly rowsMax: number
  readonly offsetMax: number
  readonly groups: boolean
}

/** A row's parent on a field path. */
export interface Parent {
  readonly object: SObject
  readonly row: unknown
}

/** A field reached from an object, through parents or directly. */
export interface ResolvedField {
  readonly field: Field
  /** The path in the vendor's spelling: `['User', 'IsActive']`. */
  readonly names: readonly string[]
  readonly get: (row: unknown, caller: Session) => Scalar
  /** The parents that a row really has along the path, nearest first. */
  readonly parents: (row: unknown) => readonly Parent[]
}

/** Finds a field by its path, in any case. Throws SoqlError where there is none. */
export function resolveField(object: SObject, path: readonly string[]): ResolvedField {
  const [head = '', ...rest] = path
  if (rest.length > 0) return resolveThrough(object, head, rest)
  const field = object.fields.get(head.toLowerCase())
  if (field === undefined) throw noSuchColumn(head, object.name)
  return { field, names: [field.name], get: field.get, parents: () => [] }
}

function resolveThrough(object: SObject, head: string, rest: readonly string[]): ResolvedField {
  const relation = object.relations.get(head.toLowerCase())
  if (relation === undefined) throw noSuchRelationship(head)
  const inner = resolveField(relation.object(), rest)
  return {
    field: inner.field,
    names: [relation.name, ...inner.names],
    get: (row, caller) => {
      const parent = relation.get(row)
      return parent === null || parent === undefined ? null : inner.get(parent, caller)
    },
    parents: (row) => {
      const parent = relation.get(row)
      if (parent === null || parent === undefined) return []
      return [{ object: relation.object(), row: parent }, ...inner.parents(parent)]
    },
  }
}

/** Counts by visiting: for a table without a quicker way. */
export function countBySelect(select: SObject['select']): SObject['count'] {
  return (caller, where) => {
    let count = 0
    select(caller, where, () => {
      count += 1
    })
    return count
  }
}

/** A field's definition: its type and how to read it, with marks where the vendor's table has them. */
export type FieldRecipe<Row> = readonly [
  type: FieldType,
  get: (row: Row, caller: Session) => Scalar,
  marks?: { readonly filterable?: false; readonly groupable?: false; readonly sortable?: false },
]

/** Builds the map of an object's fields. */
export function defineFields<Row>(
  recipes: Readonly<Record<string, FieldRecipe<Row>>>,
): ReadonlyMap<string, Field> {
  return new Map(
    Object.entries(recipes).map(([name, [type, get, marks]]) => {
      const field: Field = {
        name,
        type,
        get: (row, caller) => get(row as Row, caller),
        filterable: marks?.filterable ?? true,
        groupable: marks?.groupable ?? true,
        sortable: marks?.sortable ?? true,
      }
      return [name.toLowerCase(), field]
    }),
  )
}

/** Builds the map of an object's parents. */
export function defineRelations<Row>(
  recipes: Readonly<Record<string, readonly [object: () => SObject, get: (row: Row) => unknown]>>,
): ReadonlyMap<string, Relation> {
  return new Map(
    Object.entries(recipes).map(([name, [object, get]]) => [
      name.toLowerCase(),
      { name, object, get: (row: unknown) => get(row as Row) },
    ]),
  )
}
