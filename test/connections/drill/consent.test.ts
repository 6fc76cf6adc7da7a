import { expect, test } from 'vitest'
import { readCallback } from '../../../src/connections/drill/consent/consent.ts'

test.each([
  ['names its issuer', '&iss=https%3A%2F%2Fissuer.example', 'https://issuer.example'],
  ['names none', '', null],
])('an answer at the callback that %s', (_title, more, iss) => {
  const { code, ...rest } = readCallback(new URL(`http://127.0.0.1/cb?code=c&state=s${more}`))
  expect([code?.reveal(), rest]).toEqual(['c', { state: 's', error: null, iss }])
})
