/** The command line's process. */
import { runProgram } from '../../runtime/program/program.ts'
import { createHost, watchInterrupts } from './host.ts'
import { closeSockets, network } from './socket.ts'

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that has seen enough, such as `head`, closes the pipe.
  if (error.code === 'EPIPE') process.exit(0)
  process.stderr.write(`kerf: stdout: expected room to write, got ${error.code}\n`)
  process.exit(1)
})
process.stderr.on('error', () => {})
process.exitCode = await runProgram(createHost({ interrupts: watchInterrupts(), network }), process.argv.slice(2))
await closeSockets()
// Workers of a run that failed would keep the process alive.
if (process.exitCode !== 0) process.exit()
