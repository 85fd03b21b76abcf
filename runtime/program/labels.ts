/** The names of the classifier's rows, in their order. */
import { checkLabels } from '../data/labels.ts'
import { refuse } from '../error.ts'
import type { Files } from '../host/files.ts'
import { isFile, readText } from './files.ts'
import type { Model } from './model.ts'
import { joinPath } from './path.ts'

/** Names that nothing overrules, since a head was trained for them, and the file that says so. */
type OwnLabels = { names: readonly string[]; file: string }

/** The names that an adapter directory brings along. */
async function readLabels(files: Files, directory: string): Promise<OwnLabels | null> {
  const file = joinPath(directory, 'labels.json')
  if (!await isFile(files, file)) return null
  let names: unknown
  try {
    names = JSON.parse(await readText(files, file))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  if (!Array.isArray(names) || names.length === 0) return refuse('labels-json', file, 'a JSON list of label names', JSON.stringify(names))
  return { names: checkLabels(names, file), file }
}

/** Names told to the program, and the adapter directory that may bring its own. */
export type LabelSource = { labels?: readonly string[]; adapter?: string }

/**
 * The label names for a model, with an adapter directory or without: the adapter's, else the model's, else `--labels`; none
 * where nobody says. Refuses `labels-own` for `--labels` beside other names of the adapter or the model.
 */
export async function chooseLabels(
  files: Files, { labels, adapter }: LabelSource, { directory, config }: Pick<Model, 'directory' | 'config'>,
): Promise<readonly string[] | undefined> {
  const ofModel = config.labels.length > 0 ? { names: config.labels, file: joinPath(directory, 'config.json') } : null
  const own = (adapter === undefined ? null : await readLabels(files, adapter)) ?? ofModel
  const given = labels && checkLabels(labels, '--labels')
  if (own && given && own.names.join() !== given.join()) refuse('labels-own', '--labels', `${own.names.join()} as in ${own.file}`, given.join())
  return own?.names ?? given
}
