/** What runs the program, as it names itself. */
export type Engine = {
  name: string
  version: string
  /** Operating system and processor family: `linux x64`. */
  platform: string
  /** The processor's model. */
  processor: string
  processors: number
  memoryBytes: number
}
