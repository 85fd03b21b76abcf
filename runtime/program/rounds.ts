/**
 * A run's checkpoints on disk: `round.safetensors`, the newest, from which a run goes on, and before it `round.1.safetensors`,
 * `round.2.safetensors`, …, as many as are to be kept.
 */
import { KerfError } from '../error.ts'
import type { Files } from '../host/files.ts'
import { isFile, readBytes, saveFile } from './files.ts'
import { joinPath } from './path.ts'

/** A checkpoint's bytes, and its file's name for errors. */
export type Round = { bytes: Uint8Array; field: string }

export type Rounds = {
  directory: string
  /** The newest; where the power went between two renames, the one before it. */
  read(): Promise<Round | undefined>
  /** Saves a newer one, and moves each of the others a place back. `whole` is told when it can't be lost any more. */
  save(bytes: Uint8Array, whole: () => void | Promise<void>): Promise<void>
  /** Does `work` with what was read; a refusal of a damaged file names the one before it, where there is one. */
  explain<T>(round: Round | undefined, work: () => Promise<T>): Promise<T>
}

/** Checkpoints that can be kept. */
export const ROUNDS_MAX = 100

/** Refusals of a file that is whole, but another run's. */
const ANOTHER_RUN = 'checkpoint-run'

/** A checkpoint's file, by its place: 0 is the newest. */
export function nameRound(place: number): string {
  return place === 0 ? 'round.safetensors' : `round.${place}.safetensors`
}

export function openRounds(files: Files, directory: string, keep: number): Rounds {
  const nameOf = (place: number) => joinPath(directory, nameRound(place))
  /** Without a sync: the newest one's own makes all of them last. */
  const moveBack = async () => {
    for (let place = keep - 1; place > 0; place--) {
      if (await isFile(files, nameOf(place - 1))) await files.rename(nameOf(place - 1), nameOf(place))
    }
  }
  return {
    directory,
    async read() {
      for (const field of [nameOf(0), nameOf(1)]) if (await isFile(files, field)) return { bytes: await readBytes(files, field), field }
      return undefined
    },
    save: (bytes, whole) => saveFile(files, nameOf(0), bytes, {
      async whole() {
        await whole()
        await moveBack()
      },
    }),
    async explain(round, work) {
      try {
        return await work()
      } catch (error) {
        if (!round || !(error instanceof KerfError) || error.code === ANOTHER_RUN || !error.message.startsWith(round.field)) throw error
        const older = nameOf(1)
        if (round.field === older || !(await isFile(files, older))) throw error
        throw new KerfError(error.code, error.field, `${error.message}; ${older} is the one before it: --resume goes on from there in its place`)
      }
    },
  }
}
