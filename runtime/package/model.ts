/** The base model as a device or a server of this package has it: a Hugging Face BERT's config.json and model.safetensors. */
import type { ByteSource } from '../host/files.ts'
import { createChecksum } from '../kernel/checksum.ts'
import type { Kernel } from '../kernel/load.ts'
import type { ModelConfig } from '../model/config.ts'
import { parseConfig } from '../model/config.ts'
import type { CheckedWeights } from '../model/fingerprint.ts'
import { checksumModel, checksumWeights } from '../model/fingerprint.ts'
import { openWeights } from '../model/weights.ts'

export type { LinearKey } from '../model/names.ts'
export type { WeightDtype, WeightTensor, Weights } from '../model/weights.ts'
export type { CheckedWeights, ModelConfig }

export type Model = {
  config: ModelConfig
  /** Read when they are wanted: a device reads only its own blocks. */
  weights: CheckedWeights
  /** Of the configuration, labels included; a server and its devices compare it. */
  fingerprint: number
}

/** The bytes of a whole file, as one that is read part by part. */
export function sourceOf(bytes: Uint8Array, name = 'model.safetensors'): ByteSource {
  return { name, bytes: bytes.length, read: async (begin, end) => bytes.subarray(begin, end), close: async () => {} }
}

/**
 * Opens a model by the text of its config.json and by its weights: all bytes of model.safetensors, or a source that reads
 * parts of it, which stays the caller's to close and must outlast the opening of halves.
 *
 * Throws a KerfError: `config-…` for what Kerf does not compute, `weights-…` and `safetensors-…` for a damaged file. A tensor
 * that is missing or of another shape is refused when it is read.
 */
export async function openModel(kernel: Kernel, configText: string, weights: Uint8Array | ByteSource): Promise<Model> {
  const crc32c = createChecksum(kernel)
  const config = parseConfig(configText)
  const source = weights instanceof Uint8Array ? sourceOf(weights) : weights
  return { config, weights: checksumWeights(await openWeights(source), config, crc32c), fingerprint: checksumModel(config, crc32c) }
}
