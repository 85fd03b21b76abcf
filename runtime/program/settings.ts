/**
 * What a program can be told: one table, so that a setting has one meaning and one range in every command, wherever it
 * comes from. Flags or an embedding program's object become a typed record here, and nothing else goes further.
 */
import { refuse } from '../error.ts'
import { WEIGHT_FORMATS } from '../kernel/format.ts'
import { PROFILES, TILES } from '../kernel/load.ts'
import { LABELS_MAX } from '../data/labels.ts'
import { THREADS_MAX } from '../model/plan.ts'
import { PRESETS } from '../bench/presets.ts'
import { AGGREGATES, AGGREGATE_DEFAULT } from '../federation/aggregate.ts'
import { CLIP_DEFAULT } from '../federation/clip.ts'
import { RATE_SCHEDULES } from '../split/rate.ts'
import { SCHEDULERS, SCHEDULER_DEFAULT } from '../split/schedule.ts'
import type { SchemeName } from '../split/scheme.ts'
import { SCHEME_DEFAULT, SCHEME_NAMES, schemeOf } from '../split/scheme.ts'
import { PATIENCE_DEFAULT } from '../split/server/pace.ts'
import { CODECS } from '../wire/codec.ts'
import type { Kept } from './kept.ts'
import type { Flags, FlagTable } from './flags.ts'
import { ROUNDS_MAX } from './rounds.ts'
import type { Kind } from './kinds.ts'
import {
  address, alpha, blocks, choice, clientNumber, integer, listenHost, names, number, partitionText, rank, schemes, size, switched,
  targets, text,
} from './kinds.ts'

/** The strict profile's builds. */
export const BUILDS = ['auto', 'simd', 'scalar'] as const

/**
 * `value` and `default` as a person writes them; no value: a switch. `kept`: the field of a checkpoint's record where a
 * setting that decides a run's bits stands as it was understood (kept.ts); null for one that changes no bit.
 */
type Setting<T> = Kind<T> & { value?: string; default?: string | boolean; help: string; kept: keyof Kept | null }

const DATA_HELP = 'labelled texts: lines of text;label, JSON, CSV or TSV; without it the bundled sentences'

export const SETTINGS = {
  scheme: {
    ...schemes, value: 'NAME', default: SCHEME_DEFAULT, kept: 'scheme',
    help: `${SCHEME_NAMES.join(', ')}; where several can run, a list of them, or all`,
  },
  model: { ...text, value: 'DIR', help: 'Hugging Face directory; without it the bundled base', kept: 'fingerprint' },
  preset: { ...choice(PRESETS), value: 'NAME', help: `${PRESETS.join(', ')}: BERT's sizes with drawn weights, instead of a model`, kept: null },
  adapter: { ...text, value: 'DIR', help: 'PEFT directory of an adapter to begin with; rank, alpha and targets come from it', kept: 'adapterCrc' },

  profile: {
    ...choice(PROFILES), value: 'NAME', default: 'strict', kept: 'profile',
    help: 'strict: the same bits everywhere; fast: fused multiply and add where the host has it',
  },
  build: { ...choice(BUILDS), value: 'NAME', default: 'auto', help: 'kernel build of the strict profile: simd or scalar (the same bits)', kept: null },
  tile: { ...choice(['auto', ...TILES]), value: 'NAME', default: 'auto', help: `inner tile of the product: ${TILES.join(', ')} (the same bits)`, kept: null },
  threads: { ...integer(1, THREADS_MAX), value: 'N', default: '1', help: "threads of the server's and the whole model's work (the same bits)", kept: null },
  dtype: {
    ...choice(WEIGHT_FORMATS), value: 'NAME', default: 'f32', kept: 'dtype',
    help: `how frozen weights are held or written: ${WEIGHT_FORMATS.join(', ')}`,
  },
  recompute: { ...switched, default: false, help: 'compute blocks again for their backward pass: less memory, the same bits', kept: null },
  memory: {
    ...size, value: 'SIZE', kept: 'memory',
    help: "a device's linear memory at most, such as 64MB (10^6 bytes) or 64MiB; chooses --recompute and --dtype",
  },

  data: { ...text, value: 'FILE', help: DATA_HELP, kept: 'dataCrc' },
  val: { ...text, value: 'FILE', help: 'data to measure on; without it the bundled test sentences', kept: null },
  labels: {
    ...names, value: 'A,B,C', kept: 'labels',
    help: "names of the head's rows in their order, where neither its adapter nor its model names any",
  },
  labelsCount: { ...integer(1, LABELS_MAX), value: 'N', help: 'number of labels, where none are named', kept: null },
  maxLength: { ...integer(3, 8192), value: 'TOKENS', default: '128', help: 'tokens of one text, [CLS] and [SEP] included', kept: 'maxLength' },
  truncate: { ...switched, default: false, help: 'cut longer texts instead of refusing them', kept: 'truncate' },
  lengths: { ...integer(1, 8192), value: 'TOKENS', help: 'tokens of each text in a step; --max-length unless given', kept: null },
  length: { ...integer(1, 8192), value: 'TOKENS', default: '128', help: 'tokens of each text', kept: null },

  clients: { ...integer(1, 4096), value: 'N', default: '6', help: 'devices', kept: 'cuts' },
  cuts: { ...blocks, value: 'K,K,…', default: '1,1,2,2,3,3', help: 'blocks on each device; fewer values repeat', kept: 'cuts' },
  cut: { ...integer(1), value: 'K', default: '1', help: 'blocks on the device; all of them bring the head too', kept: null },
  partition: { ...partitionText, value: 'HOW', default: 'dirichlet:0.5', help: 'contiguous, iid or dirichlet:ALPHA', kept: 'partition' },
  scheduler: { ...choice(SCHEDULERS), value: 'NAME', default: SCHEDULER_DEFAULT, help: SCHEDULERS.join(', '), kept: null },

  rank: { ...rank, value: 'R', default: '8', help: "LoRA's rank", kept: 'adapter' },
  alpha: { ...alpha, value: 'A', help: "LoRA's alpha; 2·rank unless given", kept: 'adapter' },
  targets: { ...targets, value: 'A,B', default: 'query,value', help: 'linear layers with adapters, or all', kept: 'adapter' },

  batch: { ...integer(1, 4096), value: 'B', default: '16', help: 'samples of one step', kept: 'batch' },
  lr: { ...number({ above: 0 }), value: 'RATE', default: '1e-3', help: 'learning rate', kept: 'learningRate' },
  lrSchedule: {
    ...choice(RATE_SCHEDULES), value: 'NAME', default: 'constant', kept: 'schedule', help: `how the learning rate goes on: ${RATE_SCHEDULES.join(', ')}`,
  },
  warmup: {
    ...number({ atLeast: 0, below: 1 }), value: 'SHARE', default: '0', kept: 'warmup', help: 'share of the steps in which the learning rate rises',
  },
  maxGradNorm: {
    ...number({ above: 0 }), value: 'NORM', kept: 'gradientNorm',
    help: "norm of each block's gradient at most, and of the head's; by block, so that every cut gives the same bits",
  },
  weightDecay: { ...number({ atLeast: 0 }), value: 'RATE', default: '0', help: "AdamW's weight decay", kept: 'weightDecay' },
  interval: { ...integer(1), value: 'I', default: '10', help: 'rounds between two aggregations', kept: 'interval' },
  steps: { ...integer(1), value: 'N', help: 'steps of each device', kept: 'steps' },
  epochs: { ...number({ above: 0 }), value: 'E', default: '4', help: 'passes over all data, where no steps are given', kept: 'steps' },
  codec: { ...choice(CODECS), value: 'NAME', default: CODECS[0], help: `activations and gradients on the wire: ${CODECS.join(', ')}`, kept: 'codec' },
  seed: { ...integer(0), value: 'N', default: '1', help: 'seed of everything random', kept: 'seed' },
  noShuffle: { ...switched, default: false, help: "take each share's order instead of a shuffle", kept: 'shuffle' },

  evalEvery: {
    ...integer(1), value: 'ROUNDS', kept: null,
    help: 'measure on --val at the first aggregation after so many rounds (an eighth of the run)',
  },
  checkpointEvery: { ...integer(0), value: 'ROUNDS', help: 'rounds between checkpoints', kept: null },
  average: {
    ...choice(AGGREGATES), value: 'NAME', default: AGGREGATE_DEFAULT, kept: 'average',
    help: `how sets become one: ${AGGREGATES.join(', ')}; trimmed and median count each device once`,
  },
  clip: {
    ...number({ atLeast: 0 }), value: 'FACTOR', default: String(CLIP_DEFAULT), kept: 'clip',
    help: "times the median that an update's norm counts at most; 0 clips nothing",
  },
  patience: {
    ...number({ atLeast: 0 }), value: 'FACTOR', default: String(PATIENCE_DEFAULT), kept: null,
    help: "times the others' time, and the deadline once, that a device may take for an interval; 0 waits for any",
  },
  keepCheckpoints: { ...integer(1, ROUNDS_MAX), value: 'K', default: '2', help: 'checkpoints on disk, the newest and those before it', kept: null },
  deadlineSeconds: {
    ...number({ above: 0 }), value: 'S', default: '300', kept: null,
    help: 'silence after which a device is left out, its computing included',
  },
  out: { ...text, value: 'DIR', default: 'out', help: 'directory for what is written', kept: null },
  resume: { ...switched, default: false, help: 'go on from the checkpoint in --out', kept: null },
  json: { ...switched, default: false, help: 'print the result as JSON', kept: null },

  host: { ...listenHost, value: 'ADDRESS', default: '127.0.0.1', help: 'address to listen on', kept: null },
  port: { ...integer(0, 65535), value: 'PORT', default: '7700', help: 'port to listen on; 0 takes a free one', kept: null },
  joinSeconds: { ...number({ above: 0 }), value: 'S', default: '600', help: 'how long to wait for all devices', kept: null },
  tlsCert: { ...text, value: 'FILE', help: "this side's certificate (PEM), for wss", kept: null },
  tlsKey: { ...text, value: 'FILE', help: "that certificate's key (PEM)", kept: null },
  tlsCa: {
    ...text, value: 'FILE', kept: null,
    help: "who signs the other side's certificates (PEM); a server that has it asks every device for one",
  },
  keys: { ...text, value: 'FILE', help: 'public keys of the devices that may join, one a line', kept: null },
  invite: { ...switched, default: false, help: 'print an address whose secret enrols devices; off loopback without --keys it is always so', kept: null },
  address: { ...address, value: 'ws://HOST:PORT', help: 'the server', kept: null },
  share: { ...switched, default: false, help: "take only this client's share of the data, by the run's partition", kept: null },
  client: { ...clientNumber, value: 'N', default: 'any', help: 'client number to ask for', kept: null },
  key: { ...text, value: 'FILE', help: "this device's own key, made there on first use (one for each command, among the user's settings)", kept: null },
  name: { ...text, value: 'NAME', help: 'what logs call this device (client and number, or its key)', kept: null },
  retrySeconds: { ...number({ atLeast: 0 }), value: 'S', default: '60', help: 'how long to try again when the server is out of reach', kept: null },

  text: { ...text, value: 'TEXT', help: 'the text; without it each line of stdin is one', kept: null },
  logits: { ...text, value: 'FILE', help: 'write a safetensors file with logits [rows, labels] in file order', kept: null },
  merge: { ...switched, default: false, help: 'fold the adapter into the weights and write a whole model', kept: null },
  quick: { ...switched, default: false, help: 'fewer sizes and samples: a look, not a measurement', kept: null },
  device: { ...names, value: 'FILE,…', help: 'profiles of kerf bench --json, one for all or one for each client: seconds of a step', kept: null },
} satisfies Record<string, Setting<unknown>>

export type SettingName = keyof typeof SETTINGS

type ValueOf<S> = S extends Kind<infer T> ? (S extends { default: string | boolean } ? T : T | undefined) : never

/** A value for every setting; undefined where nothing was said and there is no default. */
export type Settings = { [Name in SettingName]: ValueOf<(typeof SETTINGS)[Name]> }

/** What a command can be told: some settings, a few with another default or a part of their range. */
export type Takes = {
  names: readonly SettingName[]
  /** The one that stands as a word rather than a flag. */
  word?: SettingName
  defaults?: Readonly<Partial<Record<SettingName, string>>>
  /** Words of a choice that this command knows, where it does not know all. */
  only?: Readonly<Partial<Record<SettingName, readonly string[]>>>
}

function settingOf(name: SettingName, { only }: Takes): Setting<unknown> {
  const setting = SETTINGS[name] as Setting<unknown>
  const words = only?.[name]
  return words === undefined ? setting : { ...setting, ...choice(words) as Kind<unknown> }
}

/** A setting's flag: `maxLength` is `--max-length`. */
export function flagOf(name: SettingName): string {
  return name.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)
}

export function flagTable(takes: Takes): FlagTable {
  return Object.fromEntries(takes.names.filter((name) => name !== takes.word).map((name) => {
    const { value, default: usual, help } = settingOf(name, takes)
    return [flagOf(name), { value, default: takes.defaults?.[name] ?? usual, help }]
  }))
}

function parseWritten(name: SettingName, takes: Takes, written: string | boolean | undefined): unknown {
  const setting = settingOf(name, takes)
  const field = name === takes.word ? name : `--${flagOf(name)}`
  if (written === undefined) return name === takes.word ? setting.check(undefined, field, 'none') : undefined
  return setting.check(setting.parse(String(written)), field, String(written))
}

/** A setting that says nothing beside another: one that is given, or that has such a value. */
type Override = { name: SettingName; expected: string; by(given: ReadonlySet<string>, settings: Partial<Settings>): boolean }

const beside = (name: SettingName, other: SettingName, why: string): Override => (
  { name, expected: `no --${flagOf(other)} beside it, ${why}`, by: (given) => given.has(other) })

/** Whether a trait holds for each scheme that is asked for. */
function allSchemes({ scheme = 'all' }: Partial<Settings>, trait: (name: SchemeName) => boolean): boolean {
  return (scheme === 'all' ? SCHEME_NAMES : scheme).every(trait)
}

const hasNoOrder = (scheme: SchemeName) => schemeOf({ scheme }).models === 'none' || schemeOf({ scheme }).turns
const schemesWith = (trait: (name: SchemeName) => boolean) => SCHEME_NAMES.filter(trait).join(', ')
const ADAPTER_SHAPE = 'which brings its own rank, alpha and targets'

/** Both given are refused, as one of them would be passed over in silence. A test walks over them. */
export const OVERRIDES: readonly Override[] = [
  beside('rank', 'adapter', ADAPTER_SHAPE), beside('alpha', 'adapter', ADAPTER_SHAPE), beside('targets', 'adapter', ADAPTER_SHAPE),
  beside('epochs', 'steps', 'which says how long a run is'),
  beside('preset', 'model', 'as each is a model'),
  beside('labelsCount', 'labels', 'which are counted'),
  {
    name: 'scheduler', expected: `a scheme in which devices wait for the server, one of ${schemesWith((scheme) => !hasNoOrder(scheme))}`,
    by: (_, settings) => allSchemes(settings, hasNoOrder),
  },
  {
    name: 'codec', expected: `a scheme in which activations travel, one of ${schemesWith((scheme) => !schemeOf({ scheme }).whole)}`,
    by: (_, settings) => allSchemes(settings, (scheme) => schemeOf({ scheme }).whole),
  },
]

/** Refuses `flag-override`. `given` holds names of settings, `fieldOf` says how each was. */
function checkOverrides(given: ReadonlySet<string>, settings: Settings, fieldOf: (name: SettingName) => string): Settings {
  for (const { name, expected, by } of OVERRIDES) {
    if (given.has(name) && by(given, settings)) refuse('flag-override', fieldOf(name), expected, String(settings[name]))
  }
  return settings
}

/** The record that flags make, those that were written named; refuses by its flag what is out of range or passed over. */
export function readSettings(takes: Takes, flags: Flags, writtenFlags: ReadonlySet<string> = new Set()): Settings {
  const written = (name: SettingName) => (name === takes.word ? flags.words[0] : flags.values[flagOf(name)])
  const settings = Object.fromEntries(takes.names.map((name) => [name, parseWritten(name, takes, written(name))])) as Settings
  const given = takes.names.filter((name) => writtenFlags.has(flagOf(name)))
  return checkOverrides(new Set(given), settings, (name) => `--${flagOf(name)}`)
}

/**
 * The record that an embedding program's object makes, defaults filled in; refuses `settings.NAME` out of range or passed
 * over, and names that are none.
 */
export function makeSettings(takes: Takes, given: Partial<Settings>): Settings {
  const values: Readonly<Record<string, unknown>> = given
  const stray = Object.keys(values).find((name) => !(takes.names as readonly string[]).includes(name))
  if (stray !== undefined) refuse('settings-unknown', `settings.${stray}`, takes.names.join(', '), stray)
  const settings = Object.fromEntries(takes.names.map((name) => {
    const value = values[name], field = `settings.${name}`
    if (value !== undefined) return [name, settingOf(name, takes).check(value, field, value)]
    return [name, parseWritten(name, takes, takes.defaults?.[name] ?? settingOf(name, takes).default)]
  })) as Settings
  return checkOverrides(new Set(Object.keys(values).filter((name) => values[name] !== undefined)), settings, (name) => `settings.${name}`)
}
