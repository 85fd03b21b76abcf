/**
 * Adapters as PEFT directories: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * LoRA (Hu et al. 2021): y = x Wᵀ + (alpha / rank) · x Aᵀ Bᵀ, A [rank, in], B [out, rank].
 * The classification head is trained and stored whole beside the pairs
 * (PEFT's `modules_to_save`); everything else of the model stays frozen.
 */
import { refuse } from '../error.ts'
import { decodeSafetensors, encodeSafetensors } from '../wire/safetensors.ts'
import { asObject, parseObject } from '../object.ts'
import type { ModelConfig } from './config.ts'
import type { Fingerprint } from './fingerprint.ts'
import { parseFingerprint } from './fingerprint.ts'
import { LINEARS, blockName, classifierTensors, expandTargets, widthOf } from './names.ts'
import type { LinearKey } from './names.ts'

export type AdapterConfig = {
  rank: number
  alpha: number
  /** Each once, in the order of `LINEARS`. */
  targets: readonly LinearKey[]
}

export type AdapterTensor = {
  /** Kerf's: `encoder.layer.0.attention.self.query.lora_A`. */
  name: string
  /** PEFT's: `base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight`. */
  peftName: string
  shape: readonly number[]
  /** −1 for the head. */
  block: number
}

export const LORA_RANK_MAX = 256
export const LORA_ALPHA_MAX = 65536

const PEFT_ROOT = 'base_model.model.'
const TASK = 'SEQ_CLS'
/** PEFT adds both names for sequence classification; BERT has the first alone. */
const HEAD_MODULES = ['classifier', 'score']

type Fields = Readonly<Record<string, unknown>>

/** Options under which LoRA computes something else, each with the values that leave it plain. */
const PLAIN_VALUES: Readonly<Record<string, readonly unknown[]>> = {
  peft_type: ['LORA'],
  bias: ['none', undefined],
  use_rslora: [false, null, undefined],
  use_dora: [false, null, undefined],
  use_qalora: [false, null, undefined],
  fan_in_fan_out: [false, null, undefined],
  lora_bias: [false, null, undefined],
  layers_to_transform: [null, undefined],
  layer_replication: [null, undefined],
  target_parameters: [null, undefined],
  trainable_token_indices: [null, undefined],
  alora_invocation_tokens: [null, undefined],
  arrow_config: [null, undefined],
  // Other starts (PiSSA, OLoRA, CorDA, LoftQ) also change the base weights.
  init_lora_weights: [true, false, 'gaussian', 'orthogonal', 'eva', undefined],
}

function expectPlain(fields: Fields, field: string): void {
  for (const [key, plain] of Object.entries(PLAIN_VALUES)) {
    if (plain.includes(fields[key])) continue
    refuse('adapter-unsupported', `${field}.${key}`, JSON.stringify(plain[0]), JSON.stringify(fields[key]))
  }
  for (const key of ['rank_pattern', 'alpha_pattern']) {
    const pattern = asObject(fields[key] ?? {}, `${field}.${key}`)
    if (Object.keys(pattern).length > 0) {
      refuse('adapter-unsupported', `${field}.${key}`, 'no exceptions', JSON.stringify(pattern))
    }
  }
}

function readNames(value: unknown, field: string): readonly string[] {
  if (!Array.isArray(value) || !value.every((name) => typeof name === 'string')) {
    refuse('adapter-config', field, 'a list of names', JSON.stringify(value))
  }
  return value
}

/** `target_modules` less `exclude_modules`. PEFT reads a plain string as a pattern; `all-linear` is the only one known. */
function readTargets(fields: Fields, field: string): readonly LinearKey[] {
  const targets = fields.target_modules === 'all-linear' ? ['all-linear'] : fields.target_modules
  const chosen = expandTargets(readNames(targets, `${field}.target_modules`), `${field}.target_modules`)
  const excluded = readNames(fields.exclude_modules ?? [], `${field}.exclude_modules`)
  if (excluded.length === 0) return chosen
  const dropped = expandTargets(excluded, `${field}.exclude_modules`)
  const left = chosen.filter((key) => !dropped.includes(key))
  if (left.length === 0) refuse('adapter-config', `${field}.exclude_modules`, 'a target left over', excluded.join(', '))
  return left
}

/** The head must be saved: by name, or because the task is one for which PEFT adds it by itself. */
function expectHead(fields: Fields, field: string): void {
  const task = fields.task_type ?? null
  if (task !== null && task !== TASK) refuse('adapter-unsupported', `${field}.task_type`, TASK, task)
  const saved = readNames(fields.modules_to_save ?? [], `${field}.modules_to_save`)
  const other = saved.find((name) => !HEAD_MODULES.includes(name))
  if (other !== undefined) refuse('adapter-unsupported', `${field}.modules_to_save`, HEAD_MODULES[0], other)
  if (task === null && !saved.includes(HEAD_MODULES[0])) {
    refuse('adapter-unsupported', `${field}.modules_to_save`, HEAD_MODULES[0], saved.join(', '))
  }
}

/** Refuses a rank that is not an integer of 1 to `LORA_RANK_MAX`; returns it. */
export function checkRank(rank: unknown, field: string): number {
  if (typeof rank !== 'number' || !Number.isInteger(rank) || rank < 1 || rank > LORA_RANK_MAX) {
    refuse('adapter-rank', field, `an integer from 1 to ${LORA_RANK_MAX}`, rank)
  }
  return rank
}

/** Refuses an alpha that is not above 0 and at most `LORA_ALPHA_MAX`; returns it. */
export function checkAlpha(alpha: unknown, field: string): number {
  if (typeof alpha !== 'number' || !(alpha > 0) || alpha > LORA_ALPHA_MAX) {
    refuse('adapter-alpha', field, `a number above 0, at most ${LORA_ALPHA_MAX}`, alpha)
  }
  return alpha
}

/**
 * Reads PEFT's `adapter_config.json`.
 * Throws a KerfError for another method than plain LoRA, and for every option that
 * changes what LoRA computes. `lora_dropout` is passed over: it does not change what
 * the stored adapter means, and Kerf trains without dropout.
 */
export function parseAdapterConfig(text: string, field = 'adapter_config.json'): AdapterConfig {
  const fields = parseObject(text, field)
  expectPlain(fields, field)
  expectHead(fields, field)
  return {
    rank: checkRank(fields.r, `${field}.r`),
    alpha: checkAlpha(fields.lora_alpha, `${field}.lora_alpha`),
    targets: readTargets(fields, field),
  }
}

/**
 * The place of the base's fingerprint: PEFT keeps this field as it is, in every version, and looks into it only where no
 * `task_type` is given; a field of Kerf's own would be an error in PEFT before version 0.15.
 */
const AUTO_MAPPING = { base_model_class: 'BertForSequenceClassification', parent_library: 'transformers.models.bert.modeling_bert' }

/** The fingerprint of the model that the adapter was trained on; null where the directory keeps none. */
export function parseAdapterBase(text: string, field = 'adapter_config.json'): Fingerprint | null {
  const { auto_mapping } = parseObject(text, field)
  const { kerf_base } = asObject(auto_mapping ?? {}, `${field}.auto_mapping`)
  return kerf_base === undefined ? null : parseFingerprint(kerf_base, `${field}.auto_mapping.kerf_base`)
}

/** PEFT's suffix rule lets `output.dense` mean attention's output too; alone, the block's output needs an exclusion. */
function formatTargets(targets: readonly LinearKey[]): { exclude_modules?: string[]; target_modules: string[] } {
  const moduleOf = (wanted: LinearKey) => LINEARS.filter(({ key }) => key === wanted).map(({ module }) => module)
  const names = targets.flatMap((key) => {
    const [module] = moduleOf(key)
    return module.startsWith('attention.self.') ? key : module
  })
  if (!targets.includes('down') || targets.includes('attention')) return { target_modules: names }
  return { exclude_modules: moduleOf('attention'), target_modules: names }
}

/** An `adapter_config.json` as PEFT writes it: keys sorted, two spaces. */
export function formatAdapterConfig(config: AdapterConfig, baseModelName: string, base: Fingerprint | null = null): string {
  const { exclude_modules, target_modules } = formatTargets(config.targets)
  return JSON.stringify({
    alpha_pattern: {},
    auto_mapping: base === null ? null : { ...AUTO_MAPPING, kerf_base: base },
    base_model_name_or_path: baseModelName,
    bias: 'none',
    exclude_modules,
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: config.alpha,
    lora_dropout: 0,
    modules_to_save: HEAD_MODULES,
    peft_type: 'LORA',
    r: config.rank,
    rank_pattern: {},
    revision: null,
    target_modules,
    task_type: TASK,
    use_dora: false,
    use_rslora: false,
  }, null, 2) + '\n'
}

/**
 * Every tensor of an adapter set in its one order: by block, by linear layer, A before B;
 * then the head's weight and bias. The order is that of averaging and of moments.
 */
export function adapterTensors(model: ModelConfig, adapter: AdapterConfig, labels: number): readonly AdapterTensor[] {
  const R = adapter.rank
  const targets = LINEARS.filter(({ key }) => adapter.targets.includes(key))
  const pairs = Array.from({ length: model.layers }, (_, block) => targets.flatMap(({ module, input, output }) => {
    const name = `${blockName(block)}.${module}`
    const peft = `${PEFT_ROOT}bert.${name}`
    return [
      { name: `${name}.lora_A`, peftName: `${peft}.lora_A.weight`, shape: [R, widthOf(model, input)], block },
      { name: `${name}.lora_B`, peftName: `${peft}.lora_B.weight`, shape: [widthOf(model, output), R], block },
    ]
  }))
  const head = classifierTensors(model, labels).map(({ name, shape }) => (
    { name, peftName: `${PEFT_ROOT}${name}`, shape, block: -1 }
  ))
  return [...pairs.flat(), ...head]
}

/** Kerf's name for a PEFT key, with or without `bert.` and the adapter's name (`default`); other keys come back unknown. */
function adapterName(peftName: string): string {
  return peftName
    .replace(/^base_model\.model\./, '')
    .replace(/^bert\./, '')
    .replace(/\.(lora_[AB])(\.default)?\.weight$/, '.$1')
    .replace(/^classifier\.modules_to_save\.(default\.)?/, 'classifier.')
}

function countValues(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

function expectFinite(values: Float32Array, field: string): void {
  const index = values.findIndex((value) => !Number.isFinite(value))
  if (index >= 0) refuse('adapter-finite', `${field}[${index}]`, 'a finite value', values[index])
}

/**
 * The bytes of `adapter_model.safetensors` for a whole set, keyed by Kerf's names; F32, every bit kept.
 * The same set gives the same bytes.
 * Throws a KerfError for a missing or unknown name, a wrong number of values, NaN and infinities.
 */
export function encodeAdapter(
  tensors: ReadonlyMap<string, Float32Array>, model: ModelConfig, adapter: AdapterConfig, labels: number,
): Uint8Array {
  const wanted = adapterTensors(model, adapter, labels)
  const known = new Set(wanted.map(({ name }) => name))
  for (const name of tensors.keys()) {
    if (!known.has(name)) refuse('adapter-extra', `adapter.${name}`, 'a tensor of this adapter', name)
  }
  return encodeSafetensors(wanted.map(({ name, peftName, shape }) => {
    const values = tensors.get(name)
    if (!values) refuse('adapter-missing', `adapter.${name}`, `shape [${shape.join(', ')}]`, 'no such tensor')
    if (values.length !== countValues(shape)) {
      refuse('adapter-shape', `adapter.${name}`, `${countValues(shape)} values`, values.length)
    }
    expectFinite(values, `adapter.${name}`)
    const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    return { name: peftName, dtype: 'F32', shape, data }
  }), { format: 'pt' })
}

/**
 * A whole set from the bytes of `adapter_model.safetensors`, keyed by Kerf's names in the
 * order of `adapterTensors`; the arrays are copies.
 * Throws a KerfError for a damaged file, a missing, unknown or doubled tensor, another
 * shape or dtype than the configuration's F32, NaN and infinities.
 */
export function decodeAdapter(
  bytes: Uint8Array, model: ModelConfig, adapter: AdapterConfig, labels: number, field = 'adapter_model.safetensors',
): Map<string, Float32Array> {
  const wanted = adapterTensors(model, adapter, labels)
  const known = new Set(wanted.map(({ name }) => name))
  const found = new Map<string, { dtype: string; shape: readonly number[]; data: Uint8Array }>()
  for (const [peftName, tensor] of decodeSafetensors(bytes, field).tensors) {
    const name = adapterName(peftName)
    if (!known.has(name)) refuse('adapter-extra', `${field}.${peftName}`, 'a tensor of this adapter', peftName)
    if (found.has(name)) refuse('adapter-twice', `${field}.${name}`, 'one tensor of this name', peftName)
    found.set(name, tensor)
  }
  return new Map(wanted.map(({ name, shape }) => {
    const at = `${field}.${name}`
    const tensor = found.get(name)
    if (!tensor) refuse('adapter-missing', at, `shape [${shape.join(', ')}]`, 'no such tensor')
    if (tensor.dtype !== 'F32') refuse('adapter-dtype', at, 'F32', tensor.dtype)
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis])) {
      refuse('adapter-shape', at, `shape [${shape.join(', ')}]`, `[${tensor.shape.join(', ')}]`)
    }
    const values = new Float32Array(tensor.data.slice().buffer)
    expectFinite(values, at)
    return [name, values]
  }))
}
