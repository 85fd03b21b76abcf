/**
 * Texts out of activations at the cut: what a server can do that keeps to the protocol and holds the public base.
 *
 * Look-up. Public sentences, with every piece of the vocabulary put into some of them, run through blocks [0, k); the mean
 * of a token's rows over its contexts is its entry, and the entry nearest to a row names the row's token.
 * Refinement. The named text runs through the same blocks. Rows that it leaves unexplained are tried again, the worst
 * first: candidates are the entries nearest to the row, and to the row less what its context adds by the guess so far.
 * Each candidate runs as part of the whole text, and the one whose rows together come nearest to the activation stays.
 *
 * The ends are no secret: a text's first and last row are [CLS] and [SEP]. N rows of a text, C width, V vocabulary.
 */
import type { SpecialIds } from '../runtime/data/tokens.ts'
import type { Kernel } from '../runtime/kernel/load.ts'
import { createRandom, permute } from '../runtime/random.ts'
import type { Model } from '../runtime/program/model.ts'
import type { TrainedAdapter } from '../runtime/program/trained.ts'
import { layoutOf, prefixCount } from '../runtime/model/layout.ts'
import { freshState } from '../runtime/model/optimizer.ts'
import { Stage } from '../runtime/model/stage.ts'

/** An adapter whose head has `labels` rows; the blocks need only its part below the cut. */
export type Adapter = Pick<TrainedAdapter, 'config' | 'vector'> & { labels: number }

/** Blocks [0, k) in inference: `take` gets each text's rows [N, C], a view that the next batch overwrites. */
export type Blocks = {
  width: number
  vocabSize: number
  run(texts: readonly Int32Array[], take: (text: number, rows: Float32Array) => void): void
}

const BATCH_ROWS = 2048
const BATCH_TEXTS = 512

export async function openBlocks(kernel: Kernel, { config, weights }: Model, cut: number, adapter?: Adapter): Promise<Blocks> {
  const { hiddenSize: C, layers, positionsMax, vocabSize } = config
  const stage = await Stage.open(kernel, {
    config, from: 0, to: cut, labels: adapter?.labels ?? 1, adapter: adapter?.config ?? null, training: 'none', packed: true,
    setsFrom: adapter ? [0] : [], rows: Math.max(BATCH_ROWS, positionsMax), sequences: BATCH_TEXTS, longest: positionsMax,
  }, weights)
  if (adapter) {
    const full = layoutOf(config, adapter.config, adapter.labels, 0, layers)
    stage.writeSet(0, freshState(adapter.vector.slice(0, prefixCount(full, cut))))
  }
  return {
    width: C,
    vocabSize,
    run(texts, take) {
      for (let first = 0; first < texts.length;) {
        const { offsets, ids } = fillBatch(texts, first)
        stage.forward({ offsets, ids })
        const rows = stage.view(stage.plan.out, ids.length * C)
        const count = offsets.length - 1
        for (let s = 0; s < count; s++) take(first + s, rows.subarray(offsets[s] * C, offsets[s + 1] * C))
        first += count
      }
    },
  }
}

/** As many texts from `first` on as fit. */
function fillBatch(texts: readonly Int32Array[], first: number): { offsets: Int32Array; ids: Int32Array } {
  const offsets = [0]
  for (let index = first; index < texts.length && offsets.length <= BATCH_TEXTS; index++) {
    const end = offsets[offsets.length - 1] + texts[index].length
    if (end > BATCH_ROWS && index > first) break
    offsets.push(end)
  }
  const ids = new Int32Array(offsets[offsets.length - 1])
  for (let s = 0; s + 1 < offsets.length; s++) ids.set(texts[first + s], offsets[s])
  return { offsets: Int32Array.from(offsets), ids }
}

/** Copies of `texts` in which every second piece gives way to another token, until each token stands in `contexts` of them. */
function plantTokens(texts: readonly Int32Array[], vocabSize: number, contexts: number, seed: number): Int32Array[] {
  const roomy = texts.filter(({ length }) => length > 2)
  const planted: Int32Array[] = []
  for (let context = 0; context < contexts; context++) {
    const order = permute(vocabSize, createRandom(seed, 'shuffle', context))
    for (let next = 0; next < vocabSize;) {
      const text = roomy[planted.length % roomy.length].slice()
      const last = text.length - 2
      for (let row = Math.min(1 + (planted.length % 2), last); row <= last && next < vocabSize; row += 2) text[row] = order[next++]
      planted.push(text)
    }
  }
  return planted
}

/** Entries [V, C]: each token's mean row. `texts` are the server's own, public ones. */
export function collectEntries(blocks: Blocks, texts: readonly Int32Array[], contexts: number, seed: number): Float32Array {
  const { width: C, vocabSize: V } = blocks
  const sums = new Float64Array(V * C), counts = new Float64Array(V)
  const planted = plantTokens(texts, V, contexts, seed)
  blocks.run(planted, (text, rows) => planted[text].forEach((token, row) => {
    counts[token]++
    for (let c = 0; c < C; c++) sums[token * C + c] += rows[row * C + c]
  }))
  return Float32Array.from(sums, (sum, index) => sum / counts[Math.floor(index / C)])
}

/** Columns between two looks at whether an entry is already too far. */
const STRIDE = 32

/** The `count` tokens whose entries are nearest to `row` [C], the nearest first. */
function nearestTokens(entries: Float32Array, row: Float32Array, count: number): number[] {
  const C = row.length
  const best: { token: number; distance: number }[] = []
  for (let token = 0, at = 0; at < entries.length; token++, at += C) {
    const limit = best.length < count ? Infinity : best[count - 1].distance
    let distance = 0
    for (let begin = 0; begin < C && distance < limit; begin += STRIDE) {
      const end = Math.min(begin + STRIDE, C)
      for (let c = begin; c < end; c++) {
        const difference = row[c] - entries[at + c]
        distance += difference * difference
      }
    }
    if (distance >= limit) continue
    let place = best.length
    while (place > 0 && best[place - 1].distance > distance) place--
    best.splice(place, 0, { token, distance })
    if (best.length > count) best.pop()
  }
  return best.map(({ token }) => token)
}

/** Squared distance of each row from the activation's, over that row's square. */
function rowErrors(rows: Float32Array, activation: Float32Array, C: number): Float64Array {
  const errors = new Float64Array(activation.length / C)
  for (let row = 0; row < errors.length; row++) {
    let distance = 0, square = 0
    for (let at = row * C; at < (row + 1) * C; at++) {
      const difference = rows[at] - activation[at]
      distance += difference * difference
      square += activation[at] * activation[at]
    }
    errors[row] = distance / square
  }
  return errors
}

/** What int8 leaves of a row whose largest value is four deviations is 8e-5; a wrong token leaves some tenths. */
const EXPLAINED = 2e-4
/**
 * Adapters that the server doesn't know leave something in every row, and a wrong token more than most: rows over so many
 * medians are tried, each with so many candidates of either kind. The more candidates, the fewer rows are worth them.
 */
const SWEEPS = [{ medians: 2, candidates: 8 }, { medians: 4, candidates: 32 }, { medians: 8, candidates: 128 }] as const

function doubtfulRows(errors: Float64Array, medians: number): number[] {
  const limit = Math.max(EXPLAINED, medians * errors.slice().sort()[errors.length >> 1])
  const rows = Array.from(errors.keys()).filter((row) => row > 0 && row < errors.length - 1 && errors[row] > limit)
  return rows.sort((a, b) => errors[b] - errors[a])
}

/** A whole text, its rows [N, C] and what each leaves unexplained. */
type Guess = { text: Int32Array; rows: Float32Array; errors: Float64Array; sum: number }

export type Attack = {
  /** Tokens [N] of one text by the look-up alone. */
  lookUp(activation: Float32Array): Int32Array
  /** The same text, refined from `first`. */
  refine(activation: Float32Array, first: Int32Array): Int32Array
}

/** `blocks` and `entries` are what the server believes the device computes with. */
export function createAttack(blocks: Blocks, entries: Float32Array, { cls, sep }: Pick<SpecialIds, 'cls' | 'sep'>): Attack {
  const C = blocks.width

  /** The text of `texts` whose rows come nearest, the first of equals. */
  const chooseText = (texts: readonly Int32Array[], activation: Float32Array): Guess => {
    let best: Guess = { text: texts[0], rows: activation, errors: new Float64Array(texts[0].length), sum: Infinity }
    blocks.run(texts, (index, rows) => {
      const errors = rowErrors(rows, activation, C)
      const sum = errors.reduce((total, error) => total + error, 0)
      if (sum < best.sum) best = { text: texts[index], rows: rows.slice(), errors, sum }
    })
    return best
  }

  return {
    lookUp(activation) {
      const last = activation.length / C - 1
      return Int32Array.from({ length: last + 1 }, (_, row) => {
        if (row === 0 || row === last) return row === 0 ? cls : sep
        return nearestTokens(entries, activation.subarray(row * C, (row + 1) * C), 1)[0]
      })
    },
    refine(activation, first) {
      let best = chooseText([first], activation)
      for (const { medians, candidates } of SWEEPS) {
        for (const row of doubtfulRows(best.errors, medians)) {
          const given = activation.subarray(row * C, (row + 1) * C)
          const entry = C * best.text[row]
          const alone = given.map((value, c) => value - (best.rows[row * C + c] - entries[entry + c]))
          const tokens = [best.text[row], ...nearestTokens(entries, given, candidates), ...nearestTokens(entries, alone, candidates)]
          best = chooseText(Array.from(new Set(tokens), (token) => best.text.with(row, token)), activation)
        }
      }
      return best.text
    },
  }
}
