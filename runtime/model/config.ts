/**
 * The shape of a BERT encoder, read from and written to Hugging Face's
 * `config.json` (transformers' BertConfig).
 *
 * Only what changes the computation is kept. What Kerf's kernels cannot compute
 * (another activation, relative positions, a decoder) is refused here, before
 * any weight is read.
 */
import { LABELS_MAX, checkLabels } from '../data/labels.ts'
import { VOCAB_MAX, checkTokenizerClass } from '../data/tokens.ts'
import { refuse } from '../error.ts'
import type { Fields } from '../object.ts'
import { asObject, parseObject } from '../object.ts'

/** C = hiddenSize, H = heads, D = C / H, F = intermediateSize, V = vocabSize. */
export type ModelConfig = {
  vocabSize: number
  hiddenSize: number
  layers: number
  heads: number
  intermediateSize: number
  positionsMax: number
  typesMax: number
  layerNormEps: number
  /** Label names by index; empty where the file names none. */
  labels: readonly string[]
}

export const CONFIG_CHARS_MAX = 1 << 20
export const HIDDEN_MAX = 8192
export const LAYERS_MAX = 128
export const HEADS_MAX = 256
export const INTERMEDIATE_MAX = 65536
export const POSITIONS_MAX = 8192
export const TYPES_MAX = 64
export const LAYER_NORM_EPS_MAX = 0.1

const PROBLEM_TYPE = 'single_label_classification'
/** The one class whose `classifier` is a head over labels of whole texts; heads of tokens and of choices bear that name too. */
const ARCHITECTURE = 'BertForSequenceClassification'

function readCount(fields: Fields, field: string, key: string, max: number, fallback?: number): number {
  const value = fields[key] ?? fallback
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > max) {
    refuse('config-value', `${field}.${key}`, `an integer from 1 to ${max}`, value)
  }
  return value
}

function readEpsilon(fields: Fields, field: string): number {
  const value = fields.layer_norm_eps ?? 1e-12
  if (typeof value !== 'number' || !(value > 0) || value > LAYER_NORM_EPS_MAX) {
    refuse('config-value', `${field}.layer_norm_eps`, `a number above 0, at most ${LAYER_NORM_EPS_MAX}`, value)
  }
  return value
}

function expectValue(fields: Fields, field: string, key: string, expected: unknown, fallback?: unknown): void {
  const value = fields[key] ?? fallback
  if (value !== expected) refuse('config-unsupported', `${field}.${key}`, JSON.stringify(expected), value)
}

/** An option under which another thing is computed, which must be absent, null or empty. */
function expectNone(fields: Fields, field: string, key: string): void {
  const value = fields[key] ?? null
  const empty = value === null || (typeof value === 'object' && Object.keys(value).length === 0)
  if (!empty) refuse('config-unsupported', `${field}.${key}`, 'none', JSON.stringify(value))
}

/** Label names by index; LABEL_0, LABEL_1, … are transformers' stand-in names and count as none. */
function readLabels(fields: Fields, field: string): readonly string[] {
  if (fields.id2label === undefined || fields.id2label === null) return []
  const at = `${field}.id2label`
  const names = asObject(fields.id2label, at)
  const count = Object.keys(names).length
  const labels: unknown[] = []
  for (let index = 0; index < count; index++) {
    if (!Object.hasOwn(names, index)) {
      refuse('config-labels', at, `keys "0" to "${count - 1}"`, Object.keys(names).join(', '))
    }
    labels.push(names[index])
  }
  if (labels.every((label, index) => label === `LABEL_${index}`)) return []
  return checkLabels(labels, at)
}

/**
 * Reads a Hugging Face `config.json` of a BERT encoder.
 * Throws a KerfError for anything that Kerf does not compute (only
 * `hidden_act: "gelu"`, the exact one, and absolute positions), for sizes out of
 * range, and for a width that the heads do not divide.
 */
export function parseConfig(text: string, field = 'config'): ModelConfig {
  const fields = parseObject(text, field, CONFIG_CHARS_MAX)
  expectValue(fields, field, 'model_type', 'bert')
  expectValue(fields, field, 'hidden_act', 'gelu', 'gelu')
  expectValue(fields, field, 'position_embedding_type', 'absolute', 'absolute')
  expectValue(fields, field, 'is_decoder', false, false)
  expectValue(fields, field, 'add_cross_attention', false, false)
  expectValue(fields, field, 'is_encoder_decoder', false, false)
  expectValue(fields, field, 'problem_type', PROBLEM_TYPE, PROBLEM_TYPE)
  expectNone(fields, field, 'pruned_heads')
  expectNone(fields, field, 'quantization_config')
  checkTokenizerClass(fields.tokenizer_class, `${field}.tokenizer_class`)
  const config: ModelConfig = {
    vocabSize: readCount(fields, field, 'vocab_size', VOCAB_MAX),
    hiddenSize: readCount(fields, field, 'hidden_size', HIDDEN_MAX),
    layers: readCount(fields, field, 'num_hidden_layers', LAYERS_MAX),
    heads: readCount(fields, field, 'num_attention_heads', HEADS_MAX),
    intermediateSize: readCount(fields, field, 'intermediate_size', INTERMEDIATE_MAX),
    positionsMax: readCount(fields, field, 'max_position_embeddings', POSITIONS_MAX),
    typesMax: readCount(fields, field, 'type_vocab_size', TYPES_MAX, 2),
    layerNormEps: readEpsilon(fields, field),
    labels: readLabels(fields, field),
  }
  if (config.hiddenSize % config.heads !== 0) {
    refuse('config-value', `${field}.hidden_size`, `a multiple of the ${config.heads} heads`, config.hiddenSize)
  }
  return config
}

/** What a `config.json` says of the classifier that lies beside it. */
export type HeadConfig = {
  field: string
  /** The classes that the file names; none: it does not say. */
  architectures: readonly string[]
  /** Rows by each key that counts them. */
  counts: readonly { key: string; rows: number }[]
}

/** Reads what the same file says of the head; nothing of it matters until a head is read. */
export function parseHead(text: string, field = 'config'): HeadConfig {
  const fields = parseObject(text, field, CONFIG_CHARS_MAX)
  const { architectures, num_labels, id2label } = fields
  const known = architectures === undefined || architectures === null
    || (Array.isArray(architectures) && architectures.every((name) => typeof name === 'string'))
  if (!known) refuse('config-type', `${field}.architectures`, 'a list of names', JSON.stringify(architectures))
  const counts: { key: string; rows: number }[] = []
  if (num_labels !== undefined && num_labels !== null) {
    counts.push({ key: 'num_labels', rows: readCount(fields, field, 'num_labels', LABELS_MAX) })
  }
  if (id2label !== undefined && id2label !== null) {
    counts.push({ key: 'id2label', rows: Object.keys(asObject(id2label, `${field}.id2label`)).length })
  }
  return { field, architectures: (architectures ?? []) as readonly string[], counts }
}

/** Labels of a classifier: one alone is no choice between labels but a score, and its softmax would be 1 for every text. */
export const ROWS_MIN = 2

/**
 * Refuses a classifier of `rows` rows that is no classifier of texts, by what the configuration says of it: another task's
 * head (`config-head`), a score (`config-rows`), another number of labels (`config-rows`).
 */
export function checkHead({ field, architectures, counts }: HeadConfig, rows: number): void {
  if (architectures.length > 0 && !architectures.includes(ARCHITECTURE)) {
    refuse('config-head', `${field}.architectures`, `${ARCHITECTURE}, since the weights bring a classifier`, architectures.join(', '))
  }
  if (rows < ROWS_MIN) {
    refuse('config-rows', 'classifier.weight', `a row for each of at least ${ROWS_MIN} labels; one is a regression's score`, rows)
  }
  for (const { key, rows: said } of counts) {
    if (said !== rows) refuse('config-rows', `${field}.${key}`, `${rows} labels, the rows of classifier.weight`, said)
  }
}

/**
 * A `config.json` that transformers loads as BertForSequenceClassification.
 * Dropout is written as 0 because Kerf trains without it.
 */
export function formatConfig(config: ModelConfig): string {
  const names = config.labels.map((label, index) => [label, index] as const)
  const labels = names.length === 0 ? {} : {
    id2label: Object.fromEntries(names.map(([label, index]) => [index, label])),
    label2id: Object.fromEntries(names),
  }
  return JSON.stringify({
    architectures: [ARCHITECTURE],
    attention_probs_dropout_prob: 0,
    classifier_dropout: 0,
    hidden_act: 'gelu',
    hidden_dropout_prob: 0,
    hidden_size: config.hiddenSize,
    ...labels,
    initializer_range: 0.02,
    intermediate_size: config.intermediateSize,
    layer_norm_eps: config.layerNormEps,
    max_position_embeddings: config.positionsMax,
    model_type: 'bert',
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    pad_token_id: 0,
    position_embedding_type: 'absolute',
    problem_type: PROBLEM_TYPE,
    torch_dtype: 'float32',
    type_vocab_size: config.typesMax,
    vocab_size: config.vocabSize,
  }, null, 2) + '\n'
}
