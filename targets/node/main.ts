/** The command line's process. */
import { runProgram, tellFailure } from '../../runtime/program/program.ts'
import { createHost, watchInterrupts } from './host.ts'
import { closeSockets, network } from './socket.ts'

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that has seen enough, such as `head`, closes the pipe.
  if (error.code === 'EPIPE') process.exit(0)
  process.stderr.write(`kerf: stdout: expected room to write, got ${error.code}\n`)
  process.exit(1)
})
process.stderr.on('error', () => {})
const host = createHost({ interrupts: watchInterrupts(), network })
// What no call waits for, such as a stream that breaks.
process.on('uncaughtException', (error) => process.exit(tellFailure(host.terminal, error)))
process.exitCode = await runProgram(host, process.argv.slice(2))
await closeSockets()
// Workers of a run that failed would keep the process alive.
if (process.exitCode !== 0) process.exit()
