/** The names of the classifier's rows, in their order. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { refuse } from '../../runtime/error.ts'
import { checkLabels } from '../../runtime/data/labels.ts'
import type { Flags } from './flags.ts'
import { readText } from './host.ts'
import type { Model } from './model.ts'

/** Names that nothing overrules, since a head was trained for them, and the file that says so. */
type OwnLabels = { names: readonly string[]; file: string }

/** The names that an adapter directory brings along. */
function readLabels(directory: string): OwnLabels | null {
  const file = join(directory, 'labels.json')
  if (!existsSync(file)) return null
  let names: unknown
  try {
    names = JSON.parse(readText(file))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  if (!Array.isArray(names) || names.length === 0) return refuse('labels-json', file, 'a JSON list of label names', JSON.stringify(names))
  return { names: checkLabels(names, file), file }
}

/**
 * The label names for a model, with an adapter directory or without: the adapter's, else the model's, else `--labels`; none
 * where nobody says. Refuses `labels-own` for `--labels` beside other names of the adapter or the model.
 */
export function chooseLabels(flags: Flags, { directory, config }: Pick<Model, 'directory' | 'config'>, adapter?: string): readonly string[] | undefined {
  const ofModel = config.labels.length > 0 ? { names: config.labels, file: join(directory, 'config.json') } : null
  const own = (adapter === undefined ? null : readLabels(adapter)) ?? ofModel
  const given = flags.has('labels') ? checkLabels(flags.list('labels'), '--labels') : undefined
  if (own && given && own.names.join() !== given.join()) refuse('labels-own', '--labels', `${own.names.join()} as in ${own.file}`, given.join())
  return own?.names ?? given
}
