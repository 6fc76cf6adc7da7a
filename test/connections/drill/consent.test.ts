import { describe, expect, test } from 'vitest'
import { chooseButton, readCallback } from '../../../src/connections/drill/consent/consent.ts'

test.each([
  ['names its issuer', '&iss=https%3A%2F%2Fissuer.example', 'https://issuer.example'],
  ['names none', '', null],
])('an answer at the callback that %s', (_title, more, iss) => {
  const { code, ...rest } = readCallback(new URL(`http://127.0.0.1/cb?code=c&state=s${more}`))
  expect([code?.reveal(), rest]).toEqual(['c', { state: 's', error: null, iss }])
})

describe('the button of a decision', () => {
  const button = (name: string, value: string, label: string) => ({ name, value, label })
  const allow = button('decision', 'allow', 'Log in and allow')
  const deny = button('decision', 'deny', 'No, thanks')
  const login = button('login', 'Log In', 'Log In')

  test.each([
    ['the one to deny', [allow, deny], {}, deny],
    ['the one that is named', [allow, login], { deny: 'login=Log In' }, login],
    ['none of a login', [login], {}, undefined],
  ] as const)('%s', (_, buttons, fields, expected) => {
    expect(chooseButton(buttons, 'deny', fields)).toBe(expected)
  })

  test('where there is only one to allow, nothing is pressed to deny', () => {
    expect(() => chooseButton([allow], 'deny', {})).toThrow(/none to deny: nothing was pressed/)
    expect(chooseButton([allow], 'allow', {})).toBe(allow)
  })
})
