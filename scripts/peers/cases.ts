/** What is compared, and who takes part in it. */
import type { Host, Program } from './install.ts'
import type { Setting } from './protocol.ts'
import type { Form, Work } from './work.ts'
import { BERT_BASE, FORMS, LORA, describeBlock, describeModel, describeProduct } from './work.ts'

/** A program on a host with its setting; `id` is unique, as `kerf.fast@node26-revec`. */
export type Contender = { id: string; program: Program; host: Host; setting: Setting }

/**
 * What a contender is to do; `label` tells apart the parts of a case, '' where all do the same. `flops` of one step,
 * 0 where the participant tells.
 */
export type Part = { label: string; work: Work; flops: number }

export type Case = { name: string; title: string; entries: readonly (Contender & Part)[] }

export type Profile = 'strict' | 'fast'

/** Kerf's settings: everything that its participant may be asked to vary (kerf.ts connects them). */
export type KerfSetting = { profile: Profile; threads: number; weights: 'f32' | 'int8' }

export const ROWS = 2048
export type Layer = readonly [outputs: number, inputs: number]
/** BERT-base's linear layers: attention's four, up, down. */
export const LAYERS: readonly Layer[] = [[768, 768], [3072, 768], [768, 3072]]
export const SQUARE = LAYERS[0]

export function kerf(host: Host, setting: Partial<KerfSetting> = {}): Contender {
  const full: KerfSetting = { profile: 'strict', threads: 1, weights: 'f32', ...setting }
  const parts = [full.profile, ...(full.threads === 1 ? [] : [`${full.threads}threads`]), ...(full.weights === 'f32' ? [] : [full.weights])]
  return { id: `kerf.${parts.join('.')}@${host}`, program: 'kerf', host, setting: full }
}

function peer(program: Program, host: Host, setting: Setting = {}): Contender {
  return { id: `${program}@${host}`, program, host, setting }
}

const NODES: readonly Host[] = ['node', 'node26', 'node26-revec']
/** Node 20 and Bun were slower in every measurement. */
const JAX_HOSTS: readonly Host[] = ['node26', 'node26-revec', 'deno']

const TFJS = NODES.map((host) => peer('tfjs', host))
/** Half a minute a step: one host is enough. */
const TFJS_OWN = peer('tfjs', 'node26', { gradients: 'own' })
/** With gradients written by hand around its slow kernel. */
const TFJS_WRITTEN = NODES.slice(2).map((host): Contender => (
  { ...peer('tfjs', host, { gradients: 'written' }), id: `tfjs.written@${host}` }))
const ORT_WEB = NODES.map((host) => peer('ort-web', host, { package: 'onnxruntime-web' }))
const JAX = JAX_HOSTS.map((host) => peer('jax', host))
const ORT_NATIVE = peer('ort-native', 'node', { package: 'onnxruntime-node' })
const TORCH = peer('torch', 'python')

/** The two hosts that Kerf's bars name, each profile. */
const KERF = (['node', 'node26-revec'] as const).flatMap((host) => [kerf(host), kerf(host, { profile: 'fast' })])

/** Neighbours in time are who is compared: Kerf stands between the peers on its host. */
function interleave(ours: readonly Contender[], others: readonly Contender[]): Contender[] {
  const isFirst = (one: Contender): boolean => ours.find(({ host }) => host === one.host) === one
  const onHost = ours.flatMap((one) => [one, ...others.filter(({ host }) => host === one.host && isFirst(one))])
  return [...onHost, ...others.filter((other) => !onHost.includes(other))]
}

export function productName(form: Form, [O, I]: Layer): string {
  return `product-${form}-${ROWS}x${O}x${I}`
}

function product(form: Form, [O, I]: Layer, label = ''): Part {
  return { label, work: describeProduct(form, ROWS, O, I), flops: 2 * ROWS * O * I }
}

function assign(part: Part, contenders: readonly Contender[]): Case['entries'] {
  return contenders.map((contender) => ({ ...contender, ...part, id: part.label === '' ? contender.id : `${contender.id}:${part.label}` }))
}

/** Kerf alone, every part on each of its hosts, neighbours in time. */
function alone(contenders: readonly Contender[], parts: readonly Part[]): Case['entries'] {
  return contenders.flatMap((contender) => parts.flatMap((part) => assign(part, [contender])))
}

function productCases(): Case[] {
  return LAYERS.map((layer) => ({
    name: productName('forward', layer), title: `matrix product, forward, ${[ROWS, ...layer].join('×')}`,
    entries: assign(product('forward', layer), interleave(KERF, [...TFJS, ...ORT_WEB, JAX[0], ORT_NATIVE, TORCH])),
  }))
}

const TOKENS = 128
const SEQUENCES = ROWS / TOKENS
/** Batches of the ragged case, spread evenly over the data. */
const BATCHES = 4
const MODEL_TOKENS = 20
const LABELS = 6

/** Batches of consecutive lengths, evenly spaced. */
export function pickBatches(lengths: readonly number[], count = BATCHES, size = SEQUENCES): number[][] {
  const gap = Math.floor(lengths.length / count)
  return Array.from({ length: count }, (_, batch) => lengths.slice(batch * gap, batch * gap + size))
}

/** Kerf in two settings, one after the other, each profile. */
function contrast(host: Host, changed: Partial<KerfSetting>): Contender[] {
  return (['strict', 'fast'] as const).flatMap((profile) => [kerf(host, { profile }), kerf(host, { profile, ...changed })])
}

const work = (described: Work, label = ''): Part => ({ label, work: described, flops: 0 })

/** Every case; `lengths` are the tokens of real texts, in their order. */
export function listCases(lengths: readonly number[]): Case[] {
  const full = Array.from({ length: SEQUENCES }, () => TOKENS)
  const ragged = pickBatches(lengths.map((length) => Math.min(length, TOKENS)))
  const mean = ragged.flat().reduce((sum, length) => sum + length, 0) / ragged.flat().length
  const square = [ROWS, ...SQUARE].join('×')
  const training: Work = { kind: 'step', config: BERT_BASE, adapter: LORA, labels: LABELS, lengths: full }
  return [
    ...productCases(),
    {
      name: 'peak', title: `multiply and add in registers alone, and matrix product ${square}`,
      entries: alone(KERF, [work({ kind: 'peak' }, 'peak'), product('forward', SQUARE, 'product')]),
    },
    {
      name: 'forms', title: `the three forms of the matrix product ${square}`,
      entries: alone(KERF, FORMS.map((form) => product(form, SQUARE, form))),
    },
    {
      name: 'block', title: `BERT-base block, LoRA step, ${SEQUENCES} × ${TOKENS} tokens`,
      entries: assign(work(describeBlock([full], 0)), interleave(KERF, [TFJS_OWN, ...TFJS_WRITTEN, ...JAX, TORCH])),
    },
    {
      name: 'ragged', title: `the same, texts of ${mean.toFixed(1)} tokens in the mean, padded to ${TOKENS} by the peer`,
      entries: assign(work(describeBlock(ragged, TOKENS)), [...KERF, TORCH]),
    },
    {
      name: 'model', title: `BERT-base forward, 1 × ${MODEL_TOKENS} tokens`,
      entries: assign(work(describeModel(MODEL_TOKENS)), interleave(KERF, [...ORT_WEB, ORT_NATIVE, TORCH])),
    },
    {
      name: 'threads', title: `BERT-base block, LoRA step, ${SEQUENCES} × ${TOKENS} tokens, one and two threads`,
      entries: assign(work(describeBlock([full], 0)), contrast('node26-revec', { threads: 2 })),
    },
    {
      name: 'int8', title: `BERT-base block, LoRA step, ${SEQUENCES} × ${TOKENS} tokens, frozen weights in f32 and in int8`,
      entries: assign(work(describeBlock([full], 0, true)), contrast('node26-revec', { weights: 'int8' })),
    },
    {
      name: 'step', title: `BERT-base training step, 12 blocks, ${SEQUENCES} × ${TOKENS} tokens, and matrix product ${square}`,
      entries: alone(KERF.filter(({ host }) => host === 'node26-revec'), [work(training, 'step'), product('forward', SQUARE, 'product')]),
    },
  ]
}
