import { describe, expect, test } from 'vitest'
import { isLoopback, parseEndpoint, printableUrl } from '../../src/core/url.ts'

describe('RFC 6749 section 1.6: where a credential may be sent', () => {
  test.for([
    'https://acme.my.salesforce.com',
    'http://localhost:8080/x',
    'http://127.0.0.1',
    'http://127.9.9.9:1',
    'http://[::1]:3000',
    'http://org.localhost',
  ])('%s', (url) => {
    expect(parseEndpoint(url, 'It').href).toContain(new URL(url).host)
  })

  test.for([
    ['http://acme.example', 'url_plain_http'],
    ['http://127.0.0.1.acme.example', 'url_plain_http'],
    ['http://localhost.acme.example', 'url_plain_http'],
    ['http://10.0.0.1', 'url_plain_http'],
    ['http://[::2]', 'url_plain_http'],
    ['file:///etc/passwd', 'url_invalid'],
    ['javascript:alert(1)', 'url_invalid'],
    ['//acme.example', 'url_invalid'],
    ['', 'url_invalid'],
    ['https://joe@acme.example', 'url_invalid'],
    ['joe:hunter22@acme.example', 'url_invalid'],
  ] as const)('not %s', ([url, code]) => {
    const parse = () => parseEndpoint(url, 'The address')
    expect(parse).toThrow(expect.objectContaining({ code }))
    expect(parse).toThrow(/^The address /)
    expect(parse).not.toThrow(/hunter22/)
  })

  test('plain HTTP is taken where its risk is accepted by name', () => {
    expect(parseEndpoint('http://acme.example', 'It', ['plain-http']).host).toBe('acme.example')
  })

  test('numbers that mean loopback are loopback by what the parser makes of them', () => {
    expect(isLoopback(new URL('http://2130706433'))).toBe(true)
    expect(isLoopback(new URL('http://0x7f.1'))).toBe(true)
    expect(isLoopback(new URL('http://128.0.0.1'))).toBe(false)
  })

  test('what is printed of a URL has no query and no fragment', () => {
    expect(printableUrl('https://a.example/x/y?token=1#z')).toBe('https://a.example/x/y')
  })
})
