/** `kerf eval`. */
import { refuse } from '../../../runtime/error.ts'
import type { Command } from '../flags.ts'

export const evaluateCommand: Command = {
  summary: 'not built yet',
  flags: {},
  async run() {
    refuse('command', 'eval', 'a command that is built', 'none yet')
  },
}
