import { expect, test } from 'vitest'
import { parsePolicy } from '../../src/sweep/policy.ts'
import { unmatchedNames } from '../../src/sweep/unmatched-names.ts'
import { app, user } from '../support/listing.ts'

const APPS = new Map(['Drift', 'Data Sync'].map((label) => [label, app(label, { label })]))
const USERS = new Map(['ann', 'bob'].map((id) => [id, user(id)]))

test.each([
  [
    'a slip',
    '{ app: { name: Drfit } }',
    ['No app is called "Drfit" in this inventory. Did you mean "Drift"?'],
  ],
  [
    'a name of another world',
    '{ app: { name: Zuora } }',
    ['No app is called "Zuora" in this inventory.'],
  ],
  ['a pattern that matches', '{ app: { name: dr* } }', []],
  [
    'one of several',
    '{ app: { name: [Drift, "Sales*"] } }',
    ['No app is called "Sales*" in this inventory.'],
  ],
  [
    'a user',
    '{ user: { name: anne@acme.example } }',
    ['No user is called "anne@acme.example" in this inventory. Did you mean "ann@acme.example"?'],
  ],
])('%s', (_title, rule, notes) => {
  const policy = parsePolicy(`{ name: x, kill: [${rule}] }`, 'x')
  expect(unmatchedNames(policy, APPS, USERS)).toEqual(notes)
})
