/**
 * Ctrl-C and SIGTERM: one line, then an end at once with 128 + the signal's number. Files are replaced whole, so nothing
 * needs tidying. A signal that comes while the kernel computes waits for the end of that step.
 */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const

let describe = (): string => 'interrupted'

/** Sets what the line says from here on. */
export function describeInterrupt(text: () => string): void {
  describe = text
}

export function endOnSignals(): void {
  for (const [signal, exitCode] of Object.entries(EXIT_CODES)) {
    process.once(signal, () => {
      process.stderr.write(`kerf: ${describe()}\n`)
      process.exit(exitCode)
    })
  }
}
