/** `kerf infer`. */
import { refuse } from '../../../runtime/error.ts'
import type { Command } from '../flags.ts'

export const inferCommand: Command = {
  summary: 'not built yet',
  flags: {},
  async run() {
    refuse('command', 'infer', 'a command that is built', 'none yet')
  },
}
