import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { openProgress, renderProgressLine } from '../../src/cli/progress.ts'
import type { Clock } from '../../src/core/clock.ts'
import { displayWidth } from '../../src/core/screen-text.ts'

/** A clock that goes only when it is told, and wakes who sleeps. */
function handClock() {
  let now = Date.parse('2025-09-14T02:13:05Z')
  let sleepers: { readonly at: number; readonly wake: () => void }[] = []
  const clock: Clock = {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((wake, reject) => {
        const sleeper = { at: now + ms, wake }
        sleepers.push(sleeper)
        signal?.addEventListener('abort', () => {
          sleepers = sleepers.filter((other) => other !== sleeper)
          reject(signal.reason)
        })
      }),
  }
  const pass = async (ms: number) => {
    now += ms
    const awake = sleepers.filter((sleeper) => sleeper.at <= now)
    sleepers = sleepers.filter((sleeper) => sleeper.at > now)
    for (const sleeper of awake) sleeper.wake()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { clock, pass, sleeping: () => sleepers.length }
}

function open(screen: { isTTY?: boolean; columns?: number }, quiet = false) {
  const stderr = Object.assign(new PassThrough(), screen)
  const stop = new AbortController()
  const time = handClock()
  const io = { stderr, clock: time.clock, signal: stop.signal }
  const progress = openProgress(io, { label: 'Killing', total: 1000, quiet })
  const written = () => String(stderr.read() ?? '')
  return { progress, written, stop, ...time }
}

describe('on a terminal', () => {
  const tty = { isTTY: true, columns: 80 }

  test('one line is rewritten, 10 times a second at most, and the last state is shown', async () => {
    const { progress, written, pass } = open(tty)
    for (let done = 1; done <= 100; done += 1) {
      progress.update({ done })
      await pass(10)
    }
    const text = written()
    expect(text.split('\r\u001b[2K').length - 1).toBeLessThanOrEqual(11)
    expect(text).not.toContain('\n')
    progress.update({ done: 499 })
    progress.update({ done: 500 })
    await pass(100)
    expect(written()).toContain('500/1,000')
  })

  test('the end leaves a line of its own, and a second end nothing', () => {
    const { progress, written, sleeping } = open(tty)
    progress.update({ done: 1 })
    progress.update({ done: 1000 })
    progress.end()
    progress.end()
    progress.update({ done: 7 })
    expect(written()).toMatch(/1,000\/1,000 {2}█+ {2}100 %\n$/)
    expect(sleeping()).toBe(0)
  })

  test('Ctrl-C ends it', () => {
    const { progress, written, stop } = open(tty)
    progress.update({ done: 1 })
    stop.abort()
    progress.update({ done: 2 })
    progress.end()
    expect(written()).toMatch(/1\/1,000[^\n]*\n$/)
  })

  test('a remark stands above the line, without controls', () => {
    const { progress, written } = open(tty)
    progress.update({ done: 1 })
    progress.say('notice', 'paused by \u001b[2Jthe provider')
    expect(written()).toContain(
      '\r\u001b[2K  notice     paused by \\u{001B}[2Jthe provider\nKilling 1/1,000',
    )
  })

  test.each([20, 40, 60, 80, 120])('fits %i columns, the counts first', (columns) => {
    const state = {
      done: 412,
      failed: 3,
      rate: 48.7,
      etaMs: 192_000,
      limit: 64,
      state: '數據 paused',
    }
    const line = renderProgressLine({ label: 'Killing', total: 11_820 }, state, columns)
    expect(displayWidth(line)).toBeLessThanOrEqual(columns)
    expect(line.startsWith('Killing 412/11,820')).toBe(true)
  })

  test('says rate, time left and how many at once', () => {
    const state = { done: 412, failed: 3, rate: 48.7, etaMs: 192_000, limit: 64 }
    expect(renderProgressLine({ label: 'Killing', total: 824 }, state, 100)).toBe(
      'Killing 412/824  ████████████░░░░░░░░░░░░  50 %  3 failed  49/s  3 min 12 s left  64 at once',
    )
  })

  test('a part of its own has its label and total, and no bar while nobody knows the total', () => {
    const options = { label: 'Killing', total: 10 }
    const part = { done: 412, label: 'Reading', total: 824 }
    expect(renderProgressLine(options, part, 80)).toMatch(/^Reading 412\/824 {2}█+░+ {2}50 %$/)
    expect(renderProgressLine(options, { ...part, total: null }, 80)).toBe('Reading 412')
    expect(renderProgressLine({ label: 'Reading', total: null }, { done: 7 }, 80)).toBe('Reading 7')
  })

  test('100 % only when all is done', () => {
    expect(renderProgressLine({ label: 'x', total: 1000 }, { done: 999 }, 80)).toContain('99 %')
  })
})

describe('elsewhere', () => {
  test('one JSON object a line, one a second at most', async () => {
    const { progress, written, pass } = open({})
    for (let done = 1; done <= 30; done += 1) {
      progress.update({ done, failed: 0, rate: 10 })
      await pass(100)
    }
    progress.say('paused', 'the provider asks to wait 30 s')
    progress.update({ done: 1000 })
    progress.end()
    const events = written()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(events.filter((event) => event.event === 'progress').length).toBeLessThanOrEqual(5)
    expect(events[0]).toEqual({
      event: 'progress',
      at: '2025-09-14T02:13:05.000Z',
      label: 'Killing',
      total: 1000,
      done: 1,
      failed: 0,
      rate: 10,
    })
    expect(events.at(-2)).toEqual({
      event: 'paused',
      at: '2025-09-14T02:13:08.000Z',
      text: 'the provider asks to wait 30 s',
    })
    expect(events.at(-1)).toMatchObject({ done: 1000 })
  })

  test('quiet writes nothing', () => {
    const { progress, written } = open({ isTTY: true }, true)
    progress.update({ done: 1 })
    progress.say('notice', 'x')
    progress.end()
    expect(written()).toBe('')
  })
})
