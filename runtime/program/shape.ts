/** The shape of a run, from settings and the model that they must fit. */
import { refuse } from '../error.ts'
import type { Files } from '../host/files.ts'
import type { AdapterConfig } from '../model/peft.ts'
import type { SchemeName } from '../split/scheme.ts'
import { SCHEME_NAMES } from '../split/scheme.ts'
import { readAdapterConfig } from './model.ts'
import type { Settings } from './settings.ts'

/** Labels of a head whose model names none, where only its size matters. */
export const LABELS_ASSUMED = 6

/** One, a list of them, or all. */
export function listSchemes({ scheme }: Pick<Settings, 'scheme'>): readonly SchemeName[] {
  return scheme === 'all' ? SCHEME_NAMES : scheme
}

/** Blocks on each client, fewer values repeating; a server keeps at least one block. */
export function fitCuts({ cuts: given }: Pick<Settings, 'cuts'>, clients: number, layers: number): number[] {
  return Array.from({ length: clients }, (_, client) => {
    const cut = given[client % given.length]
    const fits = typeof cut === 'number' && Number.isInteger(cut) && cut >= 1 && cut <= layers - 1
    return fits ? cut : refuse('flag-cuts', `--cuts[${client}]`, `a block of 1 … ${layers - 1}`, String(cut))
  })
}

/** The shape of the adapter directory that is given, else of rank, alpha and targets. */
export async function chooseLora(
  files: Files, { adapter, rank, alpha, targets }: Partial<Pick<Settings, 'adapter'>> & Pick<Settings, 'rank' | 'alpha' | 'targets'>,
): Promise<AdapterConfig> {
  if (adapter !== undefined) return readAdapterConfig(files, adapter)
  return { rank, alpha: alpha ?? 2 * rank, targets }
}
