import { describe, expect, test } from 'vitest'
import { createMemo } from '../../src/core/memo.ts'

describe('a memo', () => {
  test('keeps what was set or read last, and forgets the rest', () => {
    const memo = createMemo<number, string>(2)
    for (const key of [1, 2, 3]) memo.set(key, `value ${key}`)
    expect(memo.get(1)).toBe('value 1')
    memo.set(4, 'value 4')
    expect([memo.get(1), memo.get(2), memo.get(4)]).toEqual(['value 1', undefined, 'value 4'])
  })

  test('holds at most twice as many as it must', () => {
    const memo = createMemo<number, number>(10)
    for (let key = 0; key < 1_000; key += 1) memo.set(key, key)
    const kept = Array.from({ length: 1_000 }, (_, key) => key).filter((key) => memo.get(key))
    expect(kept.length).toBeLessThanOrEqual(20)
    expect(kept.slice(-10)).toEqual(Array.from({ length: 10 }, (_, index) => 990 + index))
  })

  test('forgets by name, and all', () => {
    const memo = createMemo<string, number>(1)
    memo.set('a', 1)
    memo.set('b', 2)
    memo.delete('a')
    expect([memo.get('a'), memo.get('b')]).toEqual([undefined, 2])
    memo.set('c', 3)
    memo.clear()
    expect([memo.get('b'), memo.get('c')]).toEqual([undefined, undefined])
  })
})
