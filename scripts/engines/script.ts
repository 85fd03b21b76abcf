/** An engine that runs a script without modules, files or promises, and what comes out of it. */

export type Ran = {
  /** Each argument of `print`. */
  lines: readonly string[]
  /** The whole process or instance, from its start to its end. */
  seconds: number
  /** The most that the engine held, buffers included; null where nothing tells. */
  heapBytes: number | null
}

export type FoundHost = {
  version: string
  /** Runs a script in an engine of its own, which has a function `print` of one text. Throws what it throws, as the engine words it. */
  run(script: string): Promise<Ran>
}

export type ScriptHost = {
  name: string
  /** The command that installs it. */
  installedBy: string
  /** null where it is missing. */
  find(): FoundHost | null
  /** Fetches it, for a host that no package manager of the system has. */
  install?(): void
}

/** The host, fetched first where nothing may be missing (KERF_REQUIRE_ALL=1). */
export async function openHost(host: ScriptHost): Promise<FoundHost | null> {
  const found = host.find()
  if (found || !host.install || process.env.KERF_REQUIRE_ALL !== '1') return found
  host.install()
  return host.find()
}
