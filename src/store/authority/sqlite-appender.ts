import type { DatabaseSync, SQLInputValue } from 'node:sqlite'

/** Rows that one statement writes: calling the database costs as much as writing a row. */
const ROWS_AT_ONCE = 16

/** Gathers the rows of a table in a transaction, and writes some of them with each statement. */
export interface Appender {
  add(...row: SQLInputValue[]): void
  /** Writes what has been gathered. */
  finish(): void
  /** Drops it: the transaction was rolled back. */
  abandon(): void
}

/** @param width how many columns the table has */
export function createAppender(database: DatabaseSync, table: string, width: number): Appender {
  const row = `(${Array(width).fill('?').join(', ')})`
  const one = database.prepare(`INSERT INTO ${table} VALUES ${row}`)
  const many = database.prepare(
    `INSERT INTO ${table} VALUES ${Array(ROWS_AT_ONCE).fill(row).join(', ')}`,
  )
  const rowsWidth = ROWS_AT_ONCE * width
  let values: SQLInputValue[] = []
  return {
    add(...row) {
      for (const value of row) values.push(value)
      if (values.length < rowsWidth) return
      many.run(...values)
      values = []
    },
    finish() {
      for (let at = 0; at < values.length; at += width) one.run(...values.slice(at, at + width))
      values = []
    },
    abandon() {
      values = []
    },
  }
}
