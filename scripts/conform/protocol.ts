/** What the suite prints, a JSON object a line, each behind a mark that no host prints itself. */
import type { SuiteScore } from '../../runtime/conformance/suite.ts'
import type { Failure } from '../../runtime/cases/tally.ts'
import type { PartName } from './part.ts'

const MARK = 'kerf-conform '

/** `crash`: what the suite threw. */
export type Message =
  | ({ kind: 'failure' } & Failure)
  | ({ kind: 'score'; ms: number; part?: PartName } & SuiteScore)
  | { kind: 'crash'; error: string }

export function formatMessage(message: Message): string {
  return MARK + JSON.stringify(message)
}

export function readMessages(lines: readonly string[]): Message[] {
  return lines.flatMap((line) => {
    const at = line.indexOf(MARK)
    return at < 0 ? [] : [JSON.parse(line.slice(at + MARK.length)) as Message]
  })
}
