/**
 * What a person watching a long run sees. On a terminal: one line, redrawn at most ten times a second. Elsewhere (a
 * file, a pipe, a CI log): a plain line at the start, then every tenth of the work or every few seconds, and at the end.
 */
import type { Screen } from '../host/terminal.ts'
import { printable } from '../text/printable.ts'

export type Progress = {
  /**
   * `done` of `total` pieces of work are finished; `text` says what is going on. `total` may be 0 while it is unknown.
   * Another total, or less done than at the start, begins a new piece of work.
   */
  update(done: number, total: number, text: string): void
  /** Prints a line that stays. */
  note(line: string): void
  /** Shows the last state for good: what is still under way may finish after it, and is not shown. Notes are. */
  end(): void
}

const REDRAW_MS = 100
const PLAIN_MS = 5000
const PLAIN_SHARE = 0.1
const BAR_CELLS = 24
const BAR_COLUMNS_MIN = 60
const CLEAR = '\r\x1b[K'

type State = { done: number; total: number; text: string }

/** A progress display on `screen`; `now` gives milliseconds from any start. */
export function createProgress(screen: Screen, now: () => number): Progress {
  const { redraws } = screen
  let first: (State & { atMs: number }) | undefined
  let last: State | undefined
  let shown: (State & { atMs: number }) | undefined
  let over = false

  function show(atMs: number): void {
    if (last === undefined || first === undefined) return
    shown = { ...last, atMs }
    const line = formatLine(last, estimateMs(last, first, atMs), screen.columns() - 1, redraws)
    screen.write(redraws ? CLEAR + line : `${line}\n`)
  }

  return {
    update(done, total, text) {
      if (over) return
      const atMs = now()
      last = { done, total, text: printable(text) }
      const another = first === undefined || done < first.done || total !== first.total
      if (another) first = { ...last, atMs }
      if (another || shown === undefined || isDue(last, atMs - shown.atMs, shown.done, redraws)) show(atMs)
    },
    note(line) {
      screen.write(`${redraws && shown !== undefined ? CLEAR : ''}${printable(line)}\n`)
      if (redraws) show(now())
    },
    end() {
      const stale = last !== undefined && (last.done !== shown?.done || last.text !== shown.text)
      if (stale) show(now())
      if (redraws && shown !== undefined) screen.write('\n')
      first = last = shown = undefined
      over = true
    },
  }
}

function isDue({ done, total }: State, sinceMs: number, shownDone: number, redraw: boolean): boolean {
  if (redraw) return sinceMs >= REDRAW_MS
  return sinceMs >= PLAIN_MS || (total > 0 && done - shownDone >= total * PLAIN_SHARE)
}

/** Time left at the mean pace since the first update: what was done before it (a resumed run) took no time here. */
function estimateMs({ done, total }: State, first: State & { atMs: number }, atMs: number): number {
  return ((atMs - first.atMs) * (total - done)) / (done - first.done)
}

function formatLine({ done, total, text }: State, leftMs: number, columns: number, redraw: boolean): string {
  const share = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0
  const filled = Math.floor(share * BAR_CELLS)
  const bar = redraw && columns >= BAR_COLUMNS_MIN ? `[${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}] ` : ''
  const left = Number.isFinite(leftMs) && leftMs > 0 ? `, ${formatClock(leftMs)} left` : ''
  const count = total > 0 ? `${String(Math.floor(share * 100)).padStart(3)} % ${done}/${total}${left}` : String(done)
  const line = `${bar}${count}  ${text}`.trimEnd()
  return redraw ? cutToCells(line, columns) : line
}

function formatClock(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  const pair = (amount: number) => String(amount).padStart(2, '0')
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}:${pair(seconds % 60)}`
  return `${Math.floor(minutes / 60)}:${pair(minutes % 60)}:${pair(seconds % 60)}`
}

/** As much of `text` as surely fits `columns` cells: any character from U+1100 on may be two cells wide, and a wrapped line could not be redrawn. */
function cutToCells(text: string, columns: number): string {
  let cells = 0
  let kept = ''
  for (const character of text) {
    cells += character < '\u1100' ? 1 : 2
    if (cells > columns) return kept
    kept += character
  }
  return kept
}
