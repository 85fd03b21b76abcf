/** `kerf plan`. */
import { refuse } from '../../../runtime/error.ts'
import type { Command } from '../flags.ts'

export const planCommand: Command = {
  summary: 'not built yet',
  flags: {},
  async run() {
    refuse('command', 'plan', 'a command that is built', 'none yet')
  },
}
