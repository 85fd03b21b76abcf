/** Flags that describe a run's shape, read with the model they must fit. */
import { refuse } from '../../runtime/error.ts'
import { expandTargets } from '../../runtime/model/names.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import { checkAlpha, checkRank } from '../../runtime/model/peft.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import { SCHEME_NAMES } from '../../runtime/split/scheme.ts'
import type { Flags } from './flags.ts'
import { readAdapterConfig } from './model.ts'

/** Labels of a head whose model names none, where only its size matters. */
export const LABELS_ASSUMED = 6

/** `--scheme`: one, a list of them, or all. */
export function readSchemes(flags: Flags): SchemeName[] {
  const names = flags.text('scheme') === 'all' ? SCHEME_NAMES : flags.list('scheme')
  return names.map((name) => SCHEME_NAMES.find((scheme) => scheme === name) ?? flags.choice('scheme', SCHEME_NAMES))
}

/** `--cuts` for each client, fewer values repeating; a server keeps at least one block. */
export function readCuts(flags: Flags, clients: number, layers: number): number[] {
  const given = flags.list('cuts')
  const cuts = Array.from({ length: clients }, (_, client) => Number(given[client % given.length]))
  const wrong = cuts.findIndex((cut) => !Number.isInteger(cut) || cut < 1 || cut > layers - 1)
  if (wrong >= 0) refuse('flag-cuts', `--cuts[${wrong}]`, `a block of 1 … ${layers - 1}`, given[wrong % given.length])
  return cuts
}

/** The shape of the adapter in `--adapter`, else `--rank`, `--alpha` and `--targets`. */
export function readLora(flags: Flags): AdapterConfig {
  if (flags.has('adapter')) return readAdapterConfig(flags.text('adapter'))
  const rank = checkRank(flags.integer('rank', 1), '--rank')
  const alpha = flags.has('alpha') ? checkAlpha(flags.number('alpha', 0), '--alpha') : 2 * rank
  return { rank, alpha, targets: expandTargets(flags.list('targets'), '--targets') }
}
