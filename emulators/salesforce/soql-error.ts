/** A query that the org refuses, with the code and the words of the REST API. */
export class SoqlError extends Error {
  readonly errorCode: string

  constructor(errorCode: string, message: string) {
    super(message)
    this.name = 'SoqlError'
    this.errorCode = errorCode
  }
}

/** The refusal of a column that an object does not have. */
export function noSuchColumn(field: string, object: string): SoqlError {
  return new SoqlError(
    'INVALID_FIELD',
    `\n${field}\n^\nERROR at Row:1:Column:1\nNo such column '${field}' on entity '${object}'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.`,
  )
}

/** The refusal of a relationship that an object does not have. */
export function noSuchRelationship(relationship: string): SoqlError {
  return new SoqlError(
    'INVALID_FIELD',
    `\n${relationship}\n^\nERROR at Row:1:Column:1\nDidn't understand relationship '${relationship}' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.`,
  )
}
