/**
 * English sentences out of WordNet 3.0's data files (format: wndb(5WN)).
 *
 * Each sense gives "words: definition", its example sentences, and its opposites. Senses near the
 * noun class `feeling` or the verb class `emotion` also give sentences that put the word into first
 * person and beside its neighbours, so that a word of feeling meets its meaning in everyday form.
 */
type Pointer = { readonly symbol: string; readonly target: string; readonly from: number; readonly to: number }
type Sense = {
  readonly key: string
  readonly part: string
  readonly lexFile: number
  readonly words: readonly string[]
  readonly pointers: readonly Pointer[]
  readonly definition: string
  readonly examples: readonly string[]
}

const parts: Readonly<Record<string, string>> = { 'data.adj': 'a', 'data.adv': 'r', 'data.noun': 'n', 'data.verb': 'v' }
const feelingNouns = 12
const emotionVerbs = 37
/** Animals, plants and substances: tens of thousands of Latin names, no everyday language. */
const taxonomies = new Set([5, 20, 27])
const instanceOf = '@i'

/** @param read gives the text of `data.adj`, `data.adv`, `data.noun` or `data.verb` */
export function wordnetLines(read: (name: string) => string): string[] {
  const senses = new Map<string, Sense>()
  for (const [name, part] of Object.entries(parts)) {
    for (const line of read(name).split('\n')) {
      if (line === '' || line.startsWith('  ')) continue
      const sense = parseSense(line, part)
      senses.set(sense.key, sense)
    }
  }
  const feelings = feelingKeys(senses)
  const lines: string[] = []
  for (const sense of senses.values()) {
    if (sense.part === 'n' && (taxonomies.has(sense.lexFile) || sense.pointers.some((pointer) => pointer.symbol === instanceOf))) continue
    lines.push(`${sense.words.join(', ')}: ${sense.definition}.`, ...sense.examples, ...opposites(sense, senses))
    if (feelings.has(sense.key)) lines.push(...feelingLines(sense, senses))
  }
  return lines
}

function parseSense(line: string, part: string): Sense {
  const bar = line.indexOf(' | ')
  const fields = line.slice(0, bar).split(' ')
  const wordCount = parseInt(fields[3], 16)
  const words: string[] = []
  for (let i = 0; i < wordCount; i += 1) words.push(fields[4 + 2 * i].replace(/\((?:a|p|ip)\)$/, '').replace(/_/g, ' '))
  const pointersAt = 5 + 2 * wordCount
  const pointers: Pointer[] = []
  for (let i = 0; i < Number(fields[pointersAt - 1]); i += 1) {
    const [symbol, offset, targetPart, ends] = fields.slice(pointersAt + 4 * i, pointersAt + 4 * i + 4)
    const [from, to] = [ends.slice(0, 2), ends.slice(2)].map((digits) => parseInt(digits, 16))
    pointers.push({ symbol, target: targetPart.replace('s', 'a') + offset, from, to })
  }
  const gloss = line.slice(bar + 3).trim()
  const quote = gloss.search(/;?\s*"/)
  const definition = (quote < 0 ? gloss : gloss.slice(0, quote)).replace(/[;:,.]?\s*$/, '')
  const examples = [...gloss.matchAll(/"([^"]+)"/g)].map((match) => match[1].trim()).filter((text) => text.includes(' '))
  return { key: part + fields[0], part, lexFile: Number(fields[1]), words, pointers, definition, examples }
}

/** Senses in the feeling classes, those derived from them, then the adjectives and adverbs that lean on those. */
function feelingKeys(senses: ReadonlyMap<string, Sense>): Set<string> {
  const keys = new Set<string>()
  const core = (sense: Sense | undefined): boolean =>
    (sense?.part === 'n' && sense.lexFile === feelingNouns) || (sense?.part === 'v' && sense.lexFile === emotionVerbs)
  for (const sense of senses.values()) if (core(sense)) keys.add(sense.key)
  for (const sense of senses.values()) {
    const akin = ({ symbol, target }: Pointer) => '+=<'.includes(symbol) && core(senses.get(target))
    if (sense.part === 'a' && sense.pointers.some(akin)) keys.add(sense.key)
  }
  const heads = new Set(keys)
  for (const sense of senses.values()) {
    const leans = sense.part === 'r' ? '\\' : sense.part === 'a' ? '&' : ''
    if (leans !== '' && sense.pointers.some(({ symbol, target }) => symbol === leans && heads.has(target))) keys.add(sense.key)
  }
  return keys
}

function opposites(sense: Sense, senses: ReadonlyMap<string, Sense>): string[] {
  return sense.pointers.flatMap(({ symbol, target, from, to }) => {
    const other = symbol === '!' && from > 0 && to > 0 ? senses.get(target)?.words[to - 1] : undefined
    return other === undefined ? [] : [`${sense.words[from - 1]} is the opposite of ${other}.`]
  })
}

function targetWords(sense: Sense, symbols: string, part: string, senses: ReadonlyMap<string, Sense>): string[] {
  return sense.pointers
    .filter(({ symbol, target }) => symbols.includes(symbol) && target.startsWith(part))
    .map(({ target, to }) => senses.get(target)?.words[Math.max(0, to - 1)] ?? '')
    .filter((word) => word !== '')
}

function feelingLines(sense: Sense, senses: ReadonlyMap<string, Sense>): string[] {
  if (sense.part === 'a') return adjectiveLines(sense, senses)
  if (sense.part === 'n') return nounLines(sense, senses)
  if (sense.part === 'v') return sense.words.map((word) => `to ${word} is to ${sense.definition}.`)
  return sense.words.map((word) => `to do it ${word} is to do it ${sense.definition}.`)
}

/** The wider feelings above a sense: fury, then rage, anger, emotion. */
function widerFeelings(sense: Sense, senses: ReadonlyMap<string, Sense>): string[] {
  const parents = sense.pointers
    .filter(({ symbol }) => symbol === '@')
    .map(({ target }) => senses.get(target))
    .filter((parent) => parent !== undefined && parent.lexFile === feelingNouns) as Sense[]
  return [...new Set(parents.flatMap((parent) => [parent.words[0], ...widerFeelings(parent, senses)]))]
}

function adjectiveLines(sense: Sense, senses: ReadonlyMap<string, Sense>): string[] {
  const nouns = targetWords(sense, '+=', 'n', senses)
  const wider = sense.pointers
    .filter(({ symbol, target }) => '+='.includes(symbol) && senses.get(target)?.lexFile === feelingNouns && target.startsWith('n'))
    .flatMap(({ target }) => widerFeelings(senses.get(target) as Sense, senses))
  const near = [...sense.words, ...targetWords(sense, '&^', 'a', senses)]
  return sense.words.flatMap((word) => {
    const others = near.filter((other) => other !== word)
    const lines = [`I feel ${word}: ${sense.definition}.`, `someone who is ${word} is ${sense.definition}.`]
    for (const noun of nouns) lines.push(`${word} people show ${noun}.`, `when I feel ${word} I am full of ${noun}.`)
    for (const kind of new Set(wider)) lines.push(`when I feel ${word} I feel a kind of ${kind}.`)
    for (const other of others) lines.push(`I feel ${word} and ${other}.`, `I am feeling ${other}, really ${word}.`)
    return lines
  })
}

function nounLines(sense: Sense, senses: ReadonlyMap<string, Sense>): string[] {
  const kinds = new Set([...targetWords(sense, '@', 'n', senses), ...widerFeelings(sense, senses)])
  return sense.words.flatMap((word) => [
    `I am filled with ${word}, ${sense.definition}.`,
    ...[...kinds].map((kind) => `${word} is a kind of ${kind}.`),
    ...sense.words.filter((other) => other !== word).map((other) => `I am full of ${word} and ${other}.`),
  ])
}
