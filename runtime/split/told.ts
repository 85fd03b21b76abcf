/**
 * What an error frame may say. Whoever reads it may be a stranger or another party of the run: it tells of the frame that it
 * answers, and of nothing else. No path, name or share of anybody's; the log on the sender's own side has everything.
 */
import type { KerfError } from '../error.ts'

export type Told = { code: string; field: string; message: string }

/** Codes of what is wrong with the other's own frame: field, expectation and value are the other's own, or the wire's. */
const OF_THE_FRAME = /^(frame|safetensors|codec|activation|report|state)-[\w-]+$/
/** The same, by code. */
const OWN: readonly string[] = [
  'share', 'share-changed', 'device-bits', 'client-name', 'client-key', 'client-refused', 'client-taken', 'client-unknown', 'client-pending', 'client-replaced',
  'client-lost', 'deadline', 'step-finite',
]

/** Instead of a message that holds something of another's, by code. */
const SENTENCES: Readonly<Record<string, string>> = {
  'run-stopped': 'run: expected to reach its end, got a failure on the side of the server',
}

/** Ends of a run that name nobody and nothing: what stopped it may be told. */
const THREAD_ENDS = '(executor|device) \\d+: expected a thread that lasts as long as the run, got exit code -?\\d+'
const RUN_ENDS = new RegExp(`^run: expected to reach its end, got ${THREAD_ENDS}$`)

export function tellError({ code, field, message }: KerfError): Told {
  const whole = { code, field, message }
  if (code === 'run-stopped' && RUN_ENDS.test(message)) return whole
  const sentence = SENTENCES[code]
  if (sentence !== undefined) return { code, field, message: sentence }
  // A damaged file has the codes of a damaged frame, and its path for a field.
  if ((OF_THE_FRAME.test(code) || OWN.includes(code)) && !/[\\/]/.test(field)) return whole
  // Whatever else goes wrong is the sender's own affair; a field may be a path.
  return { code, field: 'server', message: 'server: expected to serve this, got a failure of its own' }
}
