/** What stops a program though nobody asked for anything wrong: a host's limits and errors become refusals with a name. */
import { KerfError } from '../error.ts'

/** What engines say, each in its own words, when there is no room: for a buffer, an array, a text, a thread's heap. */
const NO_ROOM = /alloc|out of memory|memory limit|invalid (typed )?array (buffer )?length|invalid string length/i
/** POSIX's names, and no other codes: those of an engine tell of faults in a program. */
const POSIX = /^E[A-Z0-9]+$/

type Fields = { name?: unknown; code?: unknown; field?: unknown; message?: unknown }

/** The refusal that an error stands for, or the error itself where it shows a fault of the program's own. */
export function nameFailure(error: unknown): unknown {
  if (error instanceof KerfError) return error
  const { name, code, field, message } = (error ?? {}) as Fields
  if (typeof message !== 'string') return error
  // One that a thread met comes from there without its class.
  if (name === 'KerfError' && typeof code === 'string' && typeof field === 'string') return new KerfError(code, field, message)
  if (name === 'RangeError' && NO_ROOM.test(message)) {
    return new KerfError('memory', 'memory', `memory: expected room on this host, got "${message}"`)
  }
  if (typeof code !== 'string' || !POSIX.test(code)) return error
  return new KerfError('host', 'host', `host: expected what this takes, got "${message.includes(code) ? message : `${code}: ${message}`}"`)
}

/** The words of an error. */
export function describeFailure(error: unknown): string {
  const named = nameFailure(error)
  return named instanceof Error ? named.message : String(named)
}
