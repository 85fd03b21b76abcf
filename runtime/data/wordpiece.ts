/** WordPiece (Wu et al. 2016): a word as its longest known beginning, then the longest of what is left, and so on. */

export type WordPieces = {
  ids: ReadonlyMap<string, number>
  unknown: number
  /** Stands before every piece but a word's first. */
  prefix: string
  /** Code points; a longer word is unknown. */
  wordCharsMax: number
}

/** Adds a word's ids to `out`. A word that cannot be made of pieces is one unknown. */
export function createCutter({ ids, unknown, prefix, wordCharsMax }: WordPieces): (word: string, out: number[]) => void {
  // No piece is longer, so that a long word costs no more than its length times this.
  let longest = 0
  for (const piece of ids.keys()) longest = Math.max(longest, piece.length)
  const isLong = (word: string) => word.length > wordCharsMax && Array.from(word).length > wordCharsMax
  return (word, out) => {
    if (isLong(word)) return void out.push(unknown)
    const start = out.length
    for (let begin = 0; begin < word.length;) {
      let end = Math.min(word.length, begin + longest), id: number | undefined
      for (; end > begin; end--) {
        const part = word.slice(begin, end)
        id = ids.get(begin === 0 ? part : prefix + part)
        if (id !== undefined) break
      }
      if (id === undefined) {
        out.length = start
        out.push(unknown)
        return
      }
      out.push(id)
      begin = end
    }
  }
}
