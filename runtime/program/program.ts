/** The command line: `kerf COMMAND [flags]`. Exit 0 success, 1 the run failed, 2 the call was wrong. */
import { KerfError } from '../error.ts'
import type { Terminal } from '../host/terminal.ts'
import { printable, printableLines } from '../text/printable.ts'
import type { Command } from './command.ts'
import { benchCommand } from './command/bench.ts'
import { evaluateCommand } from './command/eval.ts'
import { exportCommand } from './command/export.ts'
import { inferCommand } from './command/infer.ts'
import { joinCommand } from './command/join.ts'
import { planCommand } from './command/plan.ts'
import { serveCommand } from './command/serve.ts'
import { trainCommand } from './command/train.ts'
import { nameFailure } from './failure.ts'
import { formatHelp, listWritten, parseFlags } from './flags.ts'
import type { ProgramHost } from './host.ts'
import { SETTINGS, flagTable, readSettings } from './settings.ts'

export const COMMANDS: Readonly<Record<string, Command>> = {
  train: trainCommand, eval: evaluateCommand, infer: inferCommand, plan: planCommand, bench: benchCommand,
  serve: serveCommand, join: joinCommand, export: exportCommand,
}

const OK = 0, FAILED = 1, WRONG = 2
/** Codes of a run that failed through no fault of the call. */
const FAILURES = new Set([
  'join-deadline', 'run-alone', 'run-stopped', 'deadline', 'file-read', 'file-write', 'join-lost', 'join-refused', 'client-replaced',
  'kernel.abi', 'memory', 'wasm', 'host', 'server', 'device', 'executor',
])

function overview(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(8)} ${summary}`)
  return `kerf COMMAND [flags]\n\nSplit federated fine-tuning over small, unequal devices.\n\n${lines.join('\n')}\n\nkerf COMMAND --help lists its flags.\n`
}

async function dispatch(host: ProgramHost, args: readonly string[]): Promise<number> {
  const { terminal } = host
  const [name, ...rest] = args
  if (name === undefined || ['--help', '-h', 'help'].includes(name)) {
    terminal.print(overview())
    return OK
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!command) {
    terminal.screen.write(`kerf: ${printable(`expected a command of ${Object.keys(COMMANDS).join(', ')}, got "${name}"`)}\n`)
    return WRONG
  }
  const { word, summary } = command
  const table = flagTable(command)
  const words = word === undefined ? 0 : 1
  const flags = parseFlags(table, rest, words)
  if (flags.values.help === true) {
    const place = word === undefined ? '' : ` ${(SETTINGS[word] as { value?: string }).value}`
    terminal.print(formatHelp(`kerf ${name}${place} [flags]`, summary, table))
  } else await command.run(readSettings(command, flags, listWritten(table, rest, words)), { host, line: `kerf ${args.join(' ')}` })
  return OK
}

/** Results hold names that others chose: none of them reaches a terminal as a control. */
function guardPrint(host: ProgramHost): ProgramHost {
  return { ...host, terminal: { ...host.terminal, print: (text) => host.terminal.print(printableLines(text)) } }
}

/** Says why a program ends, in one line where that is no fault of its own; gives the exit code. */
export function tellFailure({ screen }: Terminal, thrown: unknown): number {
  const error = nameFailure(thrown)
  if (error instanceof KerfError) {
    screen.write(`kerf: ${printable(error.message)}\n`)
    return FAILURES.has(error.code) ? FAILED : WRONG
  }
  // Where it happened is what helps.
  screen.write(`kerf: ${printableLines(String(error instanceof Error ? error.stack : error))}\n`)
  return FAILED
}

/** Runs one command to its end; resolves to the exit code. */
export async function runProgram(host: ProgramHost, args: readonly string[]): Promise<number> {
  try {
    return await dispatch(guardPrint(host), args)
  } catch (error) {
    return tellFailure(host.terminal, error)
  }
}
