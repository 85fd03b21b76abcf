/** `kerf export`. */
import { refuse } from '../../../runtime/error.ts'
import type { Command } from '../flags.ts'

export const exportCommand: Command = {
  summary: 'not built yet',
  flags: {},
  async run() {
    refuse('command', 'export', 'a command that is built', 'none yet')
  },
}
