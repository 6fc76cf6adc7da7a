import type { Writable } from 'node:stream'
import { formatCount } from '../core/counts.ts'
import { formatDuration } from '../core/moments.ts'
import { displayWidth, fitWidth, hangWidth, visible } from '../core/screen-text.ts'
import type { Io } from './io.ts'

/** A line that changes faster cannot be read, and every change is a write: 10 a second. */
const REPAINT_MS = 100
/** A log wants to be read afterwards: one line a second. */
const LOG_LINE_MS = 1000
/** The width when the terminal does not tell. */
const COLUMNS_DEFAULT = 80
const BAR_WIDTH_MAX = 24
/** Of the longest word for what a remark is about: "came back". */
const KIND_WIDTH = 9
/** A shorter bar says nothing. */
const BAR_WIDTH_MIN = 8
/** Back to the start of the line, and clear it. */
const CLEAR_LINE = '\r\u001b[2K'

/** How far a long piece of work is. */
export interface ProgressState {
  readonly done: number
  /** In place of the label and total that it was opened with, where the work goes on to another part. */
  readonly label?: string | undefined
  readonly total?: number | null | undefined
  readonly failed?: number | undefined
  /** A second. */
  readonly rate?: number | undefined
  readonly etaMs?: number | null | undefined
  /** Kills that may be under way at once. */
  readonly limit?: number | undefined
  /** What it is doing or waiting for, in a few words. */
  readonly state?: string | undefined
}

export interface Progress {
  update(state: ProgressState): void
  /** Says something above the line; an event of its own kind where there is no terminal. */
  say(kind: string, text: string): void
  /** Shows the last state and leaves the line. Calls after it do nothing. */
  end(): void
}

export interface ProgressOptions {
  readonly label: string
  /** Null while nobody knows. */
  readonly total: number | null
  /** Shows nothing at all. */
  readonly quiet?: boolean | undefined
}

/**
 * Opens the progress of a long piece of work on standard error: one line, rewritten, on a
 * terminal; one JSON object a line otherwise, `{"event":"progress",…}`. An abort of the signal
 * ends it, so that what is printed next starts on a line of its own.
 */
export function openProgress(
  io: Pick<Io, 'stderr' | 'clock' | 'signal'>,
  options: ProgressOptions,
): Progress {
  if (options.quiet === true) return { update: () => {}, say: () => {}, end: () => {} }
  const face = io.stderr.isTTY === true ? terminalFace(io.stderr, options) : logFace(io, options)
  return throttle(io, face)
}

/** Where progress is shown: what it writes for a state, for a remark, and at the end. */
interface Face {
  readonly everyMs: number
  show(state: ProgressState): void
  say(kind: string, text: string): void
  close(): void
}

function throttle(io: Pick<Io, 'clock' | 'signal'>, face: Face): Progress {
  const timer = new AbortController()
  let shownAt = Number.NEGATIVE_INFINITY
  let waiting: ProgressState | null = null
  let asleep = false
  let ended = false
  const show = () => {
    if (waiting === null) return
    face.show(waiting)
    waiting = null
    shownAt = io.clock.now()
  }
  // The last of a burst must be shown too: a run that then waits would look stuck elsewhere.
  const showLater = (ms: number) => {
    if (asleep) return
    asleep = true
    io.clock.sleep(ms, timer.signal).then(
      () => {
        asleep = false
        if (!ended) show()
      },
      () => {},
    )
  }
  const end = () => {
    if (ended) return
    ended = true
    timer.abort()
    io.signal.removeEventListener('abort', end)
    show()
    face.close()
  }
  io.signal.addEventListener('abort', end, { once: true })
  return {
    update: (state) => {
      if (ended) return
      waiting = state
      const wait = shownAt + face.everyMs - io.clock.now()
      if (wait <= 0) show()
      else showLater(wait)
    },
    say: (kind, text) => {
      if (!ended) face.say(kind, text)
    },
    end,
  }
}

function logFace({ stderr, clock }: Pick<Io, 'stderr' | 'clock'>, options: ProgressOptions): Face {
  const write = (event: object) => void stderr.write(`${JSON.stringify(event)}\n`)
  const at = () => new Date(clock.now()).toISOString()
  const { label, total } = options
  return {
    everyMs: LOG_LINE_MS,
    show: (state) => write({ event: 'progress', at: at(), label, total, ...state }),
    // Its kind says what it is about: the label is that of the work that the bar was opened for.
    say: (kind, text) => write({ event: kind, at: at(), text }),
    close: () => {},
  }
}

type Terminal = Writable & { readonly columns?: number }

function terminalFace(stream: Terminal, options: ProgressOptions): Face {
  let line = ''
  const columns = () => stream.columns ?? COLUMNS_DEFAULT
  return {
    everyMs: REPAINT_MS,
    show: (state) => {
      // One column stays free: some terminals wrap when the last is written.
      line = renderProgressLine(options, state, columns() - 1)
      stream.write(CLEAR_LINE + line)
    },
    say: (kind, text) => {
      const mark = `  ${visible(kind.replaceAll('_', ' ')).padEnd(KIND_WIDTH)}  `
      const remark = hangWidth(mark, visible(text), columns() - 1).join('\n')
      stream.write(`${CLEAR_LINE}${remark}\n${line}`)
    },
    close: () => {
      if (line !== '') stream.write('\n')
    },
  }
}

/**
 * Writes progress as one line of at most `columns`. What does not fit is left out from the end;
 * the counts come first.
 */
export function renderProgressLine(
  options: Pick<ProgressOptions, 'label' | 'total'>,
  state: ProgressState,
  columns: number,
): string {
  const label = state.label ?? options.label
  const total = state.total === undefined ? options.total : state.total
  const share = total === null || total === 0 ? null : Math.min(1, state.done / total)
  const head = `${label} ${formatCount(state.done)}${total === null ? '' : `/${formatCount(total)}`}`
  const parts = [
    share === null ? '' : `${Math.floor(share * 100)} %`,
    state.failed === undefined || state.failed === 0 ? '' : `${formatCount(state.failed)} failed`,
    state.state ?? '',
    state.rate === undefined ? '' : `${formatCount(Math.round(state.rate))}/s`,
    state.etaMs === undefined || state.etaMs === null || state.etaMs === 0
      ? ''
      : `${formatDuration(state.etaMs)} left`,
    state.limit === undefined ? '' : `${formatCount(state.limit)} at once`,
  ].filter((part) => part !== '')
  let line = head
  for (const part of parts.map(visible)) {
    if (displayWidth(line) + 2 + displayWidth(part) > columns) break
    line += `  ${part}`
  }
  const bar = share === null ? '' : renderBar(share, columns - displayWidth(line) - 2)
  const text = bar === '' ? line : `${head}  ${bar}${line.slice(head.length)}`
  return fitWidth(text, Math.max(1, columns))
}

function renderBar(share: number, room: number): string {
  const width = Math.min(BAR_WIDTH_MAX, room)
  if (width < BAR_WIDTH_MIN) return ''
  const full = Math.floor(share * width)
  return '█'.repeat(full) + '░'.repeat(width - full)
}
