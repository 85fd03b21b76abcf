/** What a peer can't do of what Kerf does, as its package in the version of peers.install.ts stands. */
import type { Peer } from './peers.install.ts'

export const CANNOT: Readonly<Record<Peer, string>> = {
  tfjs: '',
  'ort-web': '',
  jax: '',
  'ort-native': '',
  torch: '',
}
