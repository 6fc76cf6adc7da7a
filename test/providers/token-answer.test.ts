import { describe, expect, test } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import { readTokenAnswer } from '../../src/providers/token-answer.ts'

const read = (body: object) =>
  readTokenAnswer({ status: 200, body: JSON.stringify(body), retryAfterMs: undefined }, [
    new Secret('the-refresh-token-sent'),
  ])

describe('RFC 6749 appendix A.12: an access token that no header can carry is none', () => {
  test.each([
    ['a line break', 'a\nb'],
    ['a line break at its end', 'ab\n'],
    ['a tab', 'a\tb'],
    ['a character of no ASCII', 'aé'],
    ['a delete', 'a\x7f'],
    ['spaces alone', '  '],
    ['a space before it', ' ab'],
    ['a space behind it', 'ab '],
    ['nothing', ''],
    ['no text', 5],
  ])('%s', (_title, access_token) => {
    expect(read({ access_token, refresh_token: 'rt' })).toMatchObject({
      ...{ tokens: null, error: null, body: 'malformed' },
    })
  })

  test.each([
    ['RFC 6750 section 2.1', 'aZ09-._~+/=='],
    ['Salesforce', '00Dxx0000001gPL!AQ4AQ'],
    ['a space within', 'a b'],
  ])('and one that a header can is taken: %s', (_title, access_token) => {
    expect(read({ access_token }).tokens?.accessToken.reveal()).toBe(access_token)
  })
})

describe('section 5.4: never over the stored one with nothing', () => {
  test.each([
    ['empty', ''],
    ['null', null],
    ['no text', 5],
    ['not there', undefined],
  ])('a refresh token that is %s is none', (_title, refresh_token) => {
    expect(read({ access_token: 'at', refresh_token }).tokens?.refreshToken).toBeNull()
  })
})
