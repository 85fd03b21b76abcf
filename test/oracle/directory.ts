/** Model and adapter directories as the float64 oracle takes them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ModelConfig } from '../../runtime/model/config.ts'
import type { Dataset } from '../../runtime/data/dataset.ts'
import { tokenizeDataset } from '../../runtime/data/dataset.ts'
import { canonicalName } from '../../runtime/model/names.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import { decodeAdapter } from '../../runtime/model/peft.ts'
import { createTokenizer } from '../../runtime/data/tokens.ts'
import { collectBatch } from '../../runtime/data/sampler.ts'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'
import type { Classification, Tensor } from './bert.ts'
import { classify, runBlocks, runEmbeddings } from './bert.ts'

/** A safetensors file of F32 by Kerf's names. */
export function readTensors(file: string): Map<string, Tensor> {
  const { tensors } = decodeSafetensors(readFileSync(file))
  return new Map([...tensors.values()].map(({ name, shape, data }) =>
    [canonicalName(name), { shape, data: Float64Array.from(new Float32Array(new Uint8Array(data).buffer)) }]))
}

/** Logits [rows, labels] and loss of a dataset, in its order. */
export function evaluateDirectory(
  model: string, config: ModelConfig, adapter: { directory: string; config: AdapterConfig } | null, dataset: Dataset,
): Classification {
  const weights = readTensors(join(model, 'model.safetensors'))
  const scale = adapter ? adapter.config.alpha / adapter.config.rank : 0
  if (adapter) {
    const bytes = readFileSync(join(adapter.directory, 'adapter_model.safetensors'))
    for (const [name, values] of decodeAdapter(bytes, config, adapter.config, dataset.labelNames.length)) {
      const { rank } = adapter.config
      const rows = name.endsWith('lora_A') ? rank : name.endsWith('lora_B') ? values.length / rank : dataset.labelNames.length
      weights.set(name, { shape: name.endsWith('.bias') ? [values.length] : [rows, values.length / rows], data: Float64Array.from(values) })
    }
  }
  const tokenizer = createTokenizer({ vocabText: readFileSync(join(model, 'vocab.txt'), 'utf8') })
  const data = tokenizeDataset(dataset, tokenizer, config.positionsMax, false)
  const { ids, offsets, labels } = collectBatch(data, data.sequences.map((_, index) => index))
  const oracle = { layers: config.layers, heads: config.heads, layerNormEps: config.layerNormEps, loraScale: scale }
  const hidden = runEmbeddings(weights, oracle, { ids, offsets, types: new Int32Array(ids.length) })
  return classify(weights, oracle, runBlocks(weights, oracle, 0, config.layers, hidden, offsets).at(-1)!, offsets, labels)
}
