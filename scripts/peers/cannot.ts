/** What a peer can't do of what Kerf does, as its package in the version of install.ts stands. */
import type { Peer } from './install.ts'

const INFERENCE = 'train: it has inference sessions only and no gradients, hence no LoRA, no split and no resume'

export const CANNOT: Readonly<Record<Peer, string>> = {
  tfjs: 'ragged batches (no ragged kernel on wasm); LoRA (no such layer); a model split over devices',
  'ort-web': INFERENCE,
  jax: 'ragged batches (dense arrays only); LoRA and optimisers (not in the package); a model split over devices; threads on Node',
  'ort-native': `${INFERENCE}; run in a browser`,
  torch: 'run in a JavaScript host; LoRA (not in the package); ragged batches '
    + '(1.13: nested tensors have no gradient of layer norm and GELU)',
}
