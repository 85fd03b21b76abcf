/**
 * The names of a head's rows, in their order: one rule for every command. The head's own names, else `--labels`, else the
 * rows' numbers where the data call them by number; a head that is there is never named by guess. A new head takes the
 * names that stand in the data, sorted.
 */
import { checkLabels, listLabels, numberRows } from '../data/labels.ts'
import type { Rows } from '../data/rows.ts'
import { namesOf } from '../data/rows.ts'
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
 * where nobody says. Names of a model's configuration bind where the model has the head (`headed`); an adapter's head or a
 * new one takes them where nobody says others. Refuses `labels-own` for `--labels` beside other names of the head.
 */
export async function chooseLabels(
  files: Files, { labels, adapter }: LabelSource, { directory, config }: Pick<Model, 'directory' | 'config'>, headed = true,
): Promise<readonly string[] | undefined> {
  const given = labels && checkLabels(labels, '--labels')
  const ofModel = config.labels.length > 0 ? { names: config.labels, file: joinPath(directory, 'config.json') } : null
  const own = adapter !== undefined ? await readLabels(files, adapter) : headed ? ofModel : null
  if (own && given && own.names.join() !== given.join()) {
    refuse('labels-own', '--labels', `${own.names.join()} as in ${own.file}`, given.join())
  }
  return own?.names ?? given ?? ofModel?.names
}

/** A classifier that is there: how many rows it has, and the file that holds it. */
export type Head = { rows: number; file: string }

/** Names of a head that `chosen` leaves without any. Refuses `labels-unnamed` with what was found. */
export function nameHead({ rows, file }: Head, chosen: readonly string[] | undefined, data?: Rows): readonly string[] {
  const names = chosen ?? (data && numberRows(data.rows.map(({ label }) => label), rows))
  const found = data ? `none; ${data.name} has ${listLabels(namesOf(data))}` : 'none'
  const expected = `${rows} names in the order of the rows of the classifier in ${file}, which has none`
  return names ?? refuse('labels-unnamed', '--labels', expected, found)
}

/** Refuses `labels-count` for more or fewer names than the head has rows. */
export function checkRows({ rows, file }: Head, labels: readonly string[]): void {
  const expected = `${rows} names, one for each row of the classifier in ${file}`
  if (labels.length !== rows) refuse('labels-count', 'labels', expected, labels.join(','))
}

/** Names of the rows of a new head, and the line that says their order. */
export function nameNewHead(data: Rows): { labels: readonly string[]; line: string } {
  const labels = checkLabels(namesOf(data), `${data.name}.labels`)
  return { labels, line: `labels of the new head, sorted: ${listLabels(labels)}` }
}
