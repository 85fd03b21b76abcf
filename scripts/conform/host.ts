/** A host that runs the suite: a row of the matrix for each build. One file of hosts/ for each kind; every file there is taken. */

export const BUILDS = ['scalar', 'simd', 'fast', 'threaded', 'wasm2js'] as const
export type Build = (typeof BUILDS)[number]

/** What a host said of itself. */
export type Found = { version: string; engine: string }

/** Folders that hold the suite, its drivers and the kernel's binaries, and what hosts leave. */
export type Suite = { folder: string; binaries: string; scratch: string }

export type Host = {
  name: string
  /** The builds it is asked to run. */
  builds: readonly Build[]
  /** Why it is not asked to run the others, in a few words each. */
  without?: string
  /** What brings it, as a person would type it. */
  install: string
  /** npm packages under node_modules/.hosts (`name@npm:package@version`), and Debian's packages. */
  npm?: readonly string[]
  /** Of another processor than this one. */
  cpu?: string
  debian?: readonly string[]
  /** Without JavaScript: it plays a tape of the kernel's cases. */
  tape?: boolean
  /** What brings it otherwise. */
  fetch?(): void
  /** Takes minutes: begun first, so that the others fill the time. */
  slow?: boolean
  /** Undefined where it is not there. */
  find(): Found | undefined
  /** The lines that the suite printed (protocol.ts). Throws where the host itself fails. */
  run(suite: Suite, build: Build): Promise<readonly string[]>
}
