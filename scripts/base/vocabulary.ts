/**
 * Trains an uncased BERT WordPiece vocabulary.
 *
 *   node --import tsx scripts/base/vocabulary.ts --corpus build/corpus.txt --size 8192 --out runtime/bundled/base/vocab.txt
 *
 * Text goes through BERT's normalisation (lower case, accents stripped, punctuation split off). Words
 * start as characters, all but the first written with `##`; then the commonest adjacent pair of pieces
 * becomes a new piece until the vocabulary is full, as Hugging Face's WordPiece trainer does it.
 * Ties go to the pair whose pieces come first in the vocabulary, so one text gives one vocabulary.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

export const specialTokens: readonly string[] = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']

/** A word's least count when it is on the lists below and in the corpus: enough to become one piece. */
const favouredCount = 400
/** A favoured word seen less often than this in the corpus is left to its own count. */
const favouredSeenMin = 3

/** The commonest words of everyday English, contractions also without their apostrophe. */
const everydayWords = `
a able about above across actually after afternoon again ago ain ain't all almost alone along already alright also always am
an and another any anymore anyone anything anyway are arent around as ask asked at ate away awful baby back bad be beautiful
because bed been before behind being believe best better big birthday bit blog body book books both boy boys boyfriend break
brother business but buy by called came can cant car care change child children christmas clean close coffee cold college come
comes coming completely could couldnt couple crazy cry crying cut dad daily dark date day days dead deal dear decided definitely
did didnt die different dinner do does doesnt dog doing done dont door down drink drive during each early easy eat eating eight
else end enough especially even evening ever every everybody everyone everything exactly eye eyes face facebook fact fall family
far fast father feel feeling feelings feels felt few find fine first five followed food for forget forgot forward found four
friday friend friends from full fun game gave get gets getting girl girlfriend girls give given giving go god goes going gone
gonna good goodbye got gotta great guess guy guys had hair half hand hands happen happened hard has hasnt have havent having he
head hear heard heart hell hello help her here hers herself hes hey high him himself his hold home hope hoping hot hour hours
house how however huge husband i id idea if ill im important in inside instead internet into is isnt it its ive job just keep
keeping kid kids kill kind kinda knew know knowing known last late lately later laugh learn least leave leaving left less let
lets letting life like liked line listen little live lives living lol long longer look looked looking looks lose lost lot lots
love loved lunch made make makes making man many married matter may maybe me mean means meet men middle might mind mine minute
minutes mom moment monday money month months mood more morning most mother move moved movie much mum music must my myself name
near need needed needs never new next nice night no nobody none nope not nothing now of off often oh ok okay old on once one
ones online only open or other others our ours out outside over own page pain part party past pay people perfect perhaps person
phone photo pick picture place plan play playing please point post pretty probably problem put quite rain read reading ready
real really reason relationship remember rest right room run running said same sat saturday saw say saying says school second
see seeing seem seems seen send sense set seven she shed shes shit shop short should shouldnt show side since sister sit sitting
six sleep sleeping small smile so some somebody someone something sometimes somewhat soon sort sound spend spent stand start
started starting stay still stop stopped story stuff stupid such summer sunday support supposed sure take taken taking talk
talked talking tell ten than thank thanks that thats the their them themselves then there theres these they theyre theyve thing
things think thinking third this those though thought thoughts three through thursday time times tired to today together told
tomorrow tonight too took totally touch town tried trouble true trust try trying tuesday turn turned twitter two under understand
until up upon us use used usually very video visit wait waiting wake walk walking wanna want wanted wants was wasnt watch
watching water way we weather website wedding wednesday week weekend weeks weird well went were weve what whatever whats when
where whether which while who whole whom whos whose why wife will winter wish with within without woke woman women wonder wont
word words work worked working works world worse worst worth would wouldnt write writing wrong yeah year years yes yesterday yet
you youd youll young your youre yours yourself youve
`

/** Words of feeling, written for this list. */
const feelingWords = `
abandoned abused accepted aching admiration admire admired adorable adore adored affection affectionate afraid aggravated
agitated alarmed alienated alive amazed amazement amazing ambivalent amused anger angry angst anguish annoyed annoying
antsy anxiety anxious apathetic appalled appreciated appreciative apprehensive ashamed assaulted astonished astonishing
astounded attached awe awesome awkward baffled bereft betrayed bewildered bitter blamed bleak blessed bliss blissful blue
bored boring bothered brave bright broken brokenhearted bummed burdened calm cared caring carefree charmed charming cheated
cheerful cheery cherish cherished clever cold comfortable comforted compassion compassionate complacent concerned confident
conflicted confused content contented cool courageous cowardly cranky crappy creative crushed curious cute cynical damaged
dangerous dazed dazzled defeated defeated dejected delicate delight delighted delightful depressed depressing depression
deprived desire despair desperate despise despised determined devastated devoted dirty disappointed disappointment
disconnected discontent discouraged disgust disgusted disgusting disheartened disillusioned dismayed displeased dissatisfied
distracted distraught distressed disturbed divine doomed doubtful drained dread dreadful dull dumb eager ecstatic elated
elegant embarrassed embarrassing emotional empty enchanted encouraged energetic energized enraged enthusiastic envious envy
euphoric exasperated excited excitement exhausted exhilarated fabulous faithful fake fantastic fearful fear fearless festive
fond forgiven fortunate frantic free freaked friendly frightened frightening frustrated frustrating frustration funny furious
fury generous gentle giggly glad gloomy glorious gorgeous graceful gracious grateful gratitude greedy grief grieving groggy
grouchy grumpy guilt guilty handsome happier happiness happy hate hated hateful hatred haunted heartbroken heavenly helpless
helpful hesitant homesick honored honoured hopeful hopeless horny horrible horrified horror hostile humble humiliated
humiliating hurt hysterical ignored impatient important impressed impressive inadequate incredible indecisive inferior
infuriated innocent insecure insulted inspired intense intimidated irate irritable irritated isolated jaded jealous jealousy
jolly joy joyful joyous jubilant kind lazy liked listless lonely longing lost lousy lovable loved lovely loving loyal lucky mad
marvellous melancholy mellow merry messy miserable misery miss missed misunderstood moody mourn mourning naughty needy
neglected nervous nostalgic numb offended optimistic outraged overjoyed overwhelmed overwhelming pained panic panicked paranoid
paralyzed passion passionate pathetic peaceful pessimistic petrified petty pissed playful pleasant pleased pleasure popular
positive precious pressured productive proud punished puzzled rage rebellious reassured reckless regret regretful rejected
rejoice relaxed relieved reluctant remorse remorseful repressed repulsed resentful resentment resigned respected restless
restored revenge reverent ridiculous romantic rotten rude rushed sad saddened sadness safe sarcastic satisfied scared scary
secure selfish sensitive sentimental serene shaken shaky shame shamed shattered shock shocked shocking shy sick sincere skeptical
smart smug sorrow sorrowful sorry special spiteful splendid startled strange stressed strong stubborn stunned submissive
successful sulky sullen super superior supported supportive surprise surprised surprising suspicious sweet sympathetic sympathy
tearful tears tender tense tension terrible terrified terrifying terror thankful thoughtful threatened thrilled timid tormented
torn tortured tragic tranquil treasured troubled trusting ugly unappreciated uncertain uncomfortable uneasy unfortunate unhappy
unimportant unloved unpleasant unsure unwelcome unwanted upset useful useless vain valued vengeful victorious vicious vigorous
violent virtuous vulnerable warm weak weary welcome welcomed whiny wicked wonderful worried worry worthless wounded yearning
`

/** Words of a line after BERT's normalisation, punctuation marks as words of their own. */
export function splitWords(line: string): string[] {
  const plain = line.normalize('NFD').replace(/\p{Mn}/gu, '').replace(/[\p{Cc}\p{Cf}]/gu, ' ').toLowerCase()
  return plain.match(/[\p{P}$+<=>^`|~]|[^\s\p{P}$+<=>^`|~]+/gu) ?? []
}

/** Counts per word, favoured words raised to at least `floor` where the text has them at all often. */
export function countWords(lines: Iterable<string>, favoured: readonly string[] = [], floor = 0): Map<string, number> {
  const counts = new Map<string, number>()
  for (const line of lines) for (const word of splitWords(line)) counts.set(word, (counts.get(word) ?? 0) + 1)
  for (const word of favoured) {
    const count = counts.get(word) ?? 0
    if (count >= favouredSeenMin) counts.set(word, Math.max(count, floor))
  }
  return counts
}

type Word = { readonly count: number; pieces: number[] }
type Pair = { readonly left: number; readonly right: number; count: number; readonly words: Set<number> }

/**
 * @param counts how often each word occurs
 * @param size pieces wanted, special tokens and characters included; fewer come back when the text runs out of pairs
 * @returns the vocabulary in file order: special tokens, single characters, their ## forms, merged pieces
 */
export function trainVocabulary(counts: ReadonlyMap<string, number>, size: number): string[] {
  const pieces: string[] = [...specialTokens]
  const ids = new Map<string, number>()
  const add = (piece: string): number => {
    const known = ids.get(piece)
    if (known !== undefined) return known
    ids.set(piece, pieces.push(piece) - 1)
    return pieces.length - 1
  }
  const spelled = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([word, count]) => ({ characters: [...word], count }))
  const alphabet = [...new Set(spelled.flatMap(({ characters }) => characters))].sort()
  const inner = new Set(spelled.flatMap(({ characters }) => characters.slice(1)))
  for (const character of alphabet) add(character)
  for (const character of alphabet) if (inner.has(character)) add(`##${character}`)
  if (pieces.length > size) throw new RangeError(`size: expected at least ${pieces.length} for this text's characters, got ${size}`)

  const spell = (character: string, i: number) => add(i === 0 ? character : `##${character}`)
  const words: Word[] = spelled.map(({ characters, count }) => ({ count, pieces: characters.map(spell) }))
  const pairs = new Map<number, Pair>()
  const queue = new PairQueue()
  words.forEach((word, index) => changePairs(pairs, word, index, 1))
  for (const pair of pairs.values()) queue.push(pair)

  while (pieces.length < size) {
    const best = queue.pop(pairs)
    if (best === undefined) break
    const merged = add(pieces[best.left] + pieces[best.right].slice(2))
    const touched = new Set<Pair>()
    for (const index of best.words) {
      const word = words[index]
      changePairs(pairs, word, index, -1)
      word.pieces = mergePieces(word.pieces, best, merged)
      for (const pair of changePairs(pairs, word, index, 1)) touched.add(pair)
    }
    pairs.delete(pairKey(best.left, best.right))
    for (const pair of touched) if (pair !== best) queue.push(pair)
  }
  return pieces
}

function pairKey(left: number, right: number): number {
  return left * 2 ** 21 + right
}

/** Adds (sign 1) or takes away (sign -1) a word's share of its pairs. */
function changePairs(pairs: Map<number, Pair>, word: Word, index: number, sign: 1 | -1): Pair[] {
  const changed: Pair[] = []
  for (let i = 0; i + 1 < word.pieces.length; i += 1) {
    const [left, right] = [word.pieces[i], word.pieces[i + 1]]
    const key = pairKey(left, right)
    let pair = pairs.get(key)
    if (pair === undefined) pairs.set(key, (pair = { left, right, count: 0, words: new Set() }))
    pair.count += sign * word.count
    if (sign === 1) pair.words.add(index)
    changed.push(pair)
  }
  return changed
}

function mergePieces(pieces: readonly number[], pair: Pair, merged: number): number[] {
  const out: number[] = []
  for (let i = 0; i < pieces.length; i += 1) {
    if (pieces[i] === pair.left && pieces[i + 1] === pair.right) {
      out.push(merged)
      i += 1
    } else out.push(pieces[i])
  }
  return out
}

type Entry = { readonly pair: Pair; readonly count: number }

/** A binary heap with lazy updates: an entry whose count went stale is put back with its true count when it surfaces. */
class PairQueue {
  readonly #heap: Entry[] = []

  push(pair: Pair): void {
    const heap = this.#heap
    let at = heap.push({ pair, count: pair.count }) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(heap[at], heap[parent])) return
      swap(heap, at, parent)
      at = parent
    }
  }

  pop(pairs: ReadonlyMap<number, Pair>): Pair | undefined {
    for (;;) {
      const top = this.#take()
      if (top === undefined) return undefined
      const { pair, count } = top
      if (pair.count <= 0 || pairs.get(pairKey(pair.left, pair.right)) !== pair) continue
      if (pair.count === count) return pair
      if (pair.count < count) this.push(pair)
    }
  }

  #take(): Entry | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return top
    heap[0] = last
    for (let at = 0; ; ) {
      let least = at
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < heap.length && before(heap[child], heap[least])) least = child
      if (least === at) return top
      swap(heap, at, least)
      at = least
    }
  }
}

function before(a: Entry, b: Entry): boolean {
  if (a.count !== b.count) return a.count > b.count
  return a.pair.left !== b.pair.left ? a.pair.left < b.pair.left : a.pair.right < b.pair.right
}

function swap(heap: Entry[], a: number, b: number): void {
  const held = heap[a]
  heap[a] = heap[b]
  heap[b] = held
}

/** Greedy longest match, as BERT's WordPiece tokeniser does it; `[UNK]` for a word that cannot be spelled. */
export function splitPieces(word: string, vocabulary: ReadonlySet<string>): string[] {
  const pieces: string[] = []
  for (let begin = 0; begin < word.length; ) {
    let end = word.length
    const prefix = begin === 0 ? '' : '##'
    while (end > begin && !vocabulary.has(prefix + word.slice(begin, end))) end -= 1
    if (end === begin) return ['[UNK]']
    pieces.push(prefix + word.slice(begin, end))
    begin = end
  }
  return pieces
}

function readLines(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').filter((line) => line !== '')
}

function main(): void {
  const { values } = parseArgs({
    options: {
      corpus: { type: 'string', default: 'build/corpus.txt' },
      size: { type: 'string', default: '8192' },
      out: { type: 'string', default: 'runtime/bundled/base/vocab.txt' },
      measure: { type: 'string', multiple: true, default: [] },
    },
  })
  const favoured = [...new Set(`${everydayWords} ${feelingWords}`.split(/\s+/).filter((word) => word !== ''))]
  const counts = countWords(readLines(values.corpus), favoured, favouredCount)
  const vocabulary = trainVocabulary(counts, Number(values.size))
  writeFileSync(values.out, `${vocabulary.join('\n')}\n`)
  const known = new Set(vocabulary)
  const split = favoured.filter((word) => !known.has(word))
  const whole = `${favoured.length - split.length} of ${favoured.length} favoured words whole`
  console.log(`${vocabulary.length} pieces from ${counts.size} distinct words; ${whole}`)
  console.log(`split: ${split.join(' ')}`)
  for (const path of [values.corpus, ...values.measure]) console.log(`${path}: ${measure(readLines(path), known)}`)
}

function measure(lines: readonly string[], vocabulary: ReadonlySet<string>): string {
  let [words, pieces, unknown] = [0, 0, 0]
  for (const [word, count] of countWords(lines)) {
    const split = splitPieces(word, vocabulary)
    words += count
    pieces += count * split.length
    if (split[0] === '[UNK]') unknown += count
  }
  return `${words} words, ${(pieces / words).toFixed(4)} pieces per word, ${unknown} unknown`
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main()
