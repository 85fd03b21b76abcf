/** Chance that nobody can foretell; for names, keys and pauses, never for a result. */
export type Entropy = {
  /** Fills all of `bytes`. */
  fill(bytes: Uint8Array): void
}
