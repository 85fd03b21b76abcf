/** The command line: `kerf COMMAND [flags]`. Exit 0 success, 1 the run failed, 2 the call was wrong. */
import { KerfError } from '../../runtime/error.ts'
import { benchCommand } from './command/bench.ts'
import { evaluateCommand } from './command/eval.ts'
import { exportCommand } from './command/export.ts'
import { inferCommand } from './command/infer.ts'
import { joinCommand } from './command/join.ts'
import { planCommand } from './command/plan.ts'
import { serveCommand } from './command/serve.ts'
import { trainCommand } from './command/train.ts'
import type { Command } from './flags.ts'
import { formatHelp, parseFlags } from './flags.ts'
import { endOnSignals } from './interrupt.ts'

const COMMANDS: Readonly<Record<string, Command>> = {
  train: trainCommand, eval: evaluateCommand, infer: inferCommand, plan: planCommand, bench: benchCommand,
  serve: serveCommand, join: joinCommand, export: exportCommand,
}

const OK = 0, FAILED = 1, WRONG = 2
/** Codes of a run that failed through no fault of the call. */
const FAILURES = new Set(['join-deadline', 'run-alone', 'run-stopped', 'deadline', 'file-write', 'join-lost', 'kernel.abi', 'server', 'device', 'executor'])

function overview(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(8)} ${summary}`)
  return `kerf COMMAND [flags]\n\nSplit federated fine-tuning over small, unequal devices.\n\n${lines.join('\n')}\n\nkerf COMMAND --help lists its flags.\n`
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined || ['--help', '-h', 'help'].includes(name)) {
    process.stdout.write(overview())
    return OK
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!command) {
    process.stderr.write(`kerf: expected a command of ${Object.keys(COMMANDS).join(', ')}, got "${name}"\n`)
    return WRONG
  }
  const flags = parseFlags(command.flags, rest, name === 'join' ? 1 : 0)
  if (flags.on('help')) process.stdout.write(formatHelp(`kerf ${name}${name === 'join' ? ' ws://HOST:PORT' : ''} [flags]`, command))
  else await command.run(flags)
  return OK
}

function report(error: unknown): number {
  if (error instanceof KerfError) {
    process.stderr.write(`kerf: ${error.message.replaceAll('\n', ' ')}\n`)
    return FAILURES.has(error.code) ? FAILED : WRONG
  }
  process.stderr.write(`kerf: ${error instanceof Error ? error.stack : String(error)}\n`)
  return FAILED
}

endOnSignals()
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that has seen enough, such as `head`, closes the pipe.
  if (error.code === 'EPIPE') process.exit(OK)
  process.stderr.write(`kerf: stdout: expected room to write, got ${error.code}\n`)
  process.exit(FAILED)
})
process.stderr.on('error', () => {})
process.exitCode = await main(process.argv.slice(2)).catch(report)
// Workers and sockets of a run that failed would keep the process alive.
if (process.exitCode !== OK) process.exit()
