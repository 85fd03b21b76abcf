/** What a command is: what it can be told, and what it does. */
import type { ProgramHost } from './host.ts'
import type { SettingName, Settings, Takes } from './settings.ts'

/** Where a command runs, and the words that called it, as a report shows them. */
export type Context = { host: ProgramHost; line: string }

export type Command = Takes & { summary: string; run(settings: Settings, context: Context): Promise<void> }

/** A command that sees the settings that it takes and no other. */
export function defineCommand<const Name extends SettingName>(
  command: Omit<Takes, 'names'> & { summary: string; names: readonly Name[]; run(settings: Pick<Settings, Name>, context: Context): Promise<void> },
): Command {
  return command
}
