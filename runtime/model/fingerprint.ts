/**
 * What a base model is, as checksums: two parties can compare all that decides bits, part by part, and a device can vouch
 * for the blocks that it reads without reading others. CRC32C: it tells models apart, and is no proof against forgery.
 */
import { refuse } from '../error.ts'
import { asObject } from '../object.ts'
import type { Crc32c } from '../wire/frame.ts'
import type { ModelConfig } from './config.ts'
import type { TensorShape } from './names.ts'
import { blockTensors, embeddingTensors, poolerTensors } from './names.ts'
import type { Weights } from './weights.ts'

export type Fingerprint = {
  /** Of sizes and options; labels are named elsewhere. */
  config: number
  /** Of how texts become tokens. */
  tokenizer: number
  /** Of the weights: embeddings, each block, pooler. */
  weights: readonly number[]
}

/** Weights that are checksummed in the pass that reads them. */
export type CheckedWeights = Weights & {
  /** As in a fingerprint; null for a part of which not every tensor has been read. */
  checksums(): (number | null)[]
  /** Reads what has not been read yet. */
  checksumAll(): Promise<number[]>
}

const textOf = (text: string) => new TextEncoder().encode(text)

/** Of all that config.json says and that decides bits, but for the labels. */
export function checksumConfig({ labels: _, ...shape }: ModelConfig, crc32c: Crc32c): number {
  return crc32c(textOf(JSON.stringify(shape))) >>> 0
}

/** Of the same with the labels: what a run's parties compare before anything else. */
export function checksumModel(config: ModelConfig, crc32c: Crc32c): number {
  return checksumText(JSON.stringify(config), crc32c)
}

export function checksumText(text: string, crc32c: Crc32c): number {
  return crc32c(textOf(text)) >>> 0
}

/** The parts in their order. */
function partsOf(config: ModelConfig): readonly (readonly TensorShape[])[] {
  const blocks = Array.from({ length: config.layers }, (_, block) => blockTensors(config, block))
  return [embeddingTensors(config), ...blocks, poolerTensors(config)]
}

export function checksumWeights(weights: Weights, config: ModelConfig, crc32c: Crc32c): CheckedWeights {
  const parts = partsOf(config)
  const read = new Map<string, string>()
  const checksums = () => parts.map((tensors) => {
    const lines = tensors.map(({ name }) => read.get(name))
    return lines.includes(undefined) ? null : checksumText(lines.join('\n'), crc32c)
  })
  const checked: CheckedWeights = {
    ...weights, checksums,
    async read(name, shape) {
      const tensor = await weights.read(name, shape)
      if (!read.has(name)) read.set(name, `${name} ${tensor.dtype} ${crc32c(tensor.data) >>> 0}`)
      return tensor
    },
    async checksumAll() {
      for (const { name, shape } of parts.flat()) if (!read.has(name)) await checked.read(name, shape)
      return checksums().map(Number)
    },
  }
  return checked
}

function nameOf(part: number, parts: number): string {
  if (part === 0) return 'embeddings'
  return part === parts - 1 ? 'pooler' : `layer ${part - 1}`
}

type Other = { part: string; own: number | null; given: number }

/** The first part that both sides know and that differs, by name; null where none does. */
export function findOther(own: readonly (number | null)[], given: readonly number[]): Other | null {
  if (own.length !== given.length) return { part: 'layers', own: own.length - 2, given: given.length - 2 }
  const part = own.findIndex((checksum, index) => checksum !== null && checksum !== given[index])
  return part < 0 ? null : { part: nameOf(part, own.length), own: own[part], given: given[part] }
}

function isChecksum(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffffffff
}

/** A fingerprint out of a file that keeps one; refuses `fingerprint` for what is none. */
export function parseFingerprint(value: unknown, field: string): Fingerprint {
  const { config, tokenizer, weights } = asObject(value, field)
  if (!isChecksum(config)) refuse('fingerprint', `${field}.config`, 'a checksum', JSON.stringify(config))
  if (!isChecksum(tokenizer)) refuse('fingerprint', `${field}.tokenizer`, 'a checksum', JSON.stringify(tokenizer))
  if (!Array.isArray(weights) || !weights.every(isChecksum)) {
    refuse('fingerprint', `${field}.weights`, 'a list of checksums', JSON.stringify(weights))
  }
  return { config, tokenizer, weights }
}

/** Refuses `adapter-base` where a model is not the one that `kept`, as `field` says, was trained on. */
export function expectBase(kept: Fingerprint, own: Fingerprint, field: string): void {
  const advice = 'of the base that it was trained on'
  if (own.config !== kept.config) {
    refuse('adapter-base', `${field}.config`, `${own.config}, the checksum of this model's config.json`, kept.config)
  }
  if (own.tokenizer !== kept.tokenizer) {
    refuse('adapter-base', `${field}.tokenizer`, `${own.tokenizer}, the checksum of this model's tokenizer`, kept.tokenizer)
  }
  const other = findOther(own.weights, kept.weights)
  if (other) {
    refuse('adapter-base', `${field}.weights`, `${other.own}, the checksum of this model's ${other.part}`, `${other.given} ${advice}`)
  }
}
