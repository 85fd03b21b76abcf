/** A BERT of two small blocks, its weights drawn from a counter, as the two files that a model directory holds. */
import { encodeSafetensors } from 'kerf/wire'

const V = 20, C = 16, F = 32, POSITIONS = 12, LAYERS = 2

/** @type {[name: string, shape: number[]][]} */
const TENSORS = [
  ['embeddings.word_embeddings.weight', [V, C]], ['embeddings.position_embeddings.weight', [POSITIONS, C]],
  ['embeddings.token_type_embeddings.weight', [2, C]], ['embeddings.LayerNorm.weight', [C]], ['embeddings.LayerNorm.bias', [C]],
  ['pooler.dense.weight', [C, C]], ['pooler.dense.bias', [C]],
]
for (let layer = 0; layer < LAYERS; layer++) {
  const at = `encoder.layer.${layer}`
  for (const [name, outputs, inputs] of /** @type {const} */ ([
    ['attention.self.query', C, C], ['attention.self.key', C, C], ['attention.self.value', C, C], ['attention.output.dense', C, C],
    ['intermediate.dense', F, C], ['output.dense', C, F],
  ])) TENSORS.push([`${at}.${name}.weight`, [outputs, inputs]], [`${at}.${name}.bias`, [outputs]])
  for (const norm of ['attention.output', 'output']) TENSORS.push([`${at}.${norm}.LayerNorm.weight`, [C]], [`${at}.${norm}.LayerNorm.bias`, [C]])
}

export const configText = JSON.stringify({
  model_type: 'bert', vocab_size: V, hidden_size: C, num_hidden_layers: LAYERS, num_attention_heads: 2, intermediate_size: F,
  max_position_embeddings: POSITIONS, type_vocab_size: 2, hidden_act: 'gelu',
})

let counter = 1
/** Uniform in −0.25 … 0.25, the same on every host: whole numbers and one division by a power of two. */
const draw = () => (counter = (Math.imul(counter, 1664525) + 1013904223) >>> 0) / 2 ** 33 - 0.25

export const weights = encodeSafetensors(TENSORS.map(([name, shape]) => {
  const gain = name.endsWith('LayerNorm.weight') ? 1 : 0
  const values = Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => gain + draw())
  return { name, dtype: 'F32', shape, data: new Uint8Array(values.buffer) }
}))

export const adapter = { rank: 2, alpha: 4, targets: /** @type {const} */ (['query', 'value']) }
/** Two texts of 4 and 3 tokens. */
export const batch = { offsets: Int32Array.of(0, 4, 7), ids: Int32Array.of(2, 7, 9, 3, 2, 5, 3) }
/** The same as a device's own data, with a label of each. */
export const data = { sequences: [batch.ids.slice(0, 4), batch.ids.slice(4)], labels: Int32Array.of(1, 0) }
