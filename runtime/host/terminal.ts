/** Where a program prints, what a person sees of it, and what they type. */

/** A stream that a person watches. */
export type Screen = {
  write(text: string): void
  /** Cells of a line, as they are now. */
  columns(): number
  /** Whether what stands on a line can be drawn over. */
  redraws: boolean
}

export type Terminal = {
  /** Results: what a pipe takes on. */
  print(text: string): void
  /** Progress, notes and errors. */
  screen: Screen
  /** The bytes that come in, in parts as they come. */
  input(): AsyncIterable<Uint8Array>
  /** Whether a person types them. */
  isTyped: boolean
}

/** What ends a program from outside: Ctrl-C, or a request to terminate. */
export type Interrupts = {
  /** Sets the line that is said before the program ends; the last one counts. */
  describe(text: () => string): void
}
