/**
 * The schemes, and all that tells one from another: everything else asks a trait, never a name. A new scheme is a row here.
 */

export type Scheme = {
  title: string
  /** Each client runs the whole model, so that no activation travels and the server holds no model. */
  whole: boolean
  /** One client has all devices' data and takes their steps. */
  pooled: boolean
  /** Models of the server's: none, one that serves a device at a time, or one for each device, which then work side by side. */
  models: 'none' | 'one' | 'each'
  /** Adapter sets on one model of the server's: one for each device, or a single one. */
  sets: 'each' | 'single'
  /** One device works at a time and hands its set to the next, so that nothing is averaged. */
  turns: boolean
  /** All devices train the server's single set together: the order of its work becomes part of the result. */
  shared: boolean
}

const SPLIT = { whole: false, pooled: false, models: 'one', sets: 'each', turns: false, shared: false } as const
const WHOLE = { ...SPLIT, whole: true, models: 'none' } as const

/** In the order in which they are listed and compared. */
const TABLE = {
  kerf: { ...SPLIT, title: 'one model on the server, an adapter set for each device' },
  sl: { ...SPLIT, title: 'one device at a time, model and adapters handed over', sets: 'single', turns: true },
  sfl: { ...SPLIT, title: 'a model on the server for each device', models: 'each' },
  splitlora: { ...SPLIT, title: 'one model and one adapter set on the server', sets: 'single', shared: true },
  fl: { ...WHOLE, title: 'the whole model on each device' },
  central: { ...WHOLE, title: 'all data in one place', pooled: true },
} as const satisfies Record<string, Scheme>

export type SchemeName = keyof typeof TABLE

export const SCHEME_NAMES = Object.keys(TABLE) as readonly SchemeName[]

/** The paper's: what runs unless another is asked for. */
export const SCHEME_DEFAULT: SchemeName = 'kerf'

export function schemeOf({ scheme }: { scheme: SchemeName }): Scheme {
  return TABLE[scheme]
}

/** Blocks on each client, from those on each device: all of them where clients run the whole model; a pooled client stands for all devices. */
export function clientCuts(name: SchemeName, cuts: readonly number[], layers: number): readonly number[] {
  const { whole, pooled } = TABLE[name]
  if (pooled) return [layers]
  return whole ? cuts.map(() => layers) : cuts
}

/** Steps of each client in what is one step of each of `devices`. */
export function stepsPerRound(name: SchemeName, devices: number): number {
  return TABLE[name].pooled ? devices : 1
}
