/**
 * Builds the pretraining text of the bundled base model from Debian packages.
 *
 *   node --import tsx scripts/base/corpus.ts [--out build/corpus.txt] [--heldout build/heldout.txt]
 *
 * Every package is fetched with `apt-get download` and unpacked with `dpkg-deb -x` beside the output.
 * Only public domain, MIT, zlib and WordNet-licensed text goes in, so the weights carry no copyleft
 * question. One line is a sentence or a short passage of at most 40 words (before the informal
 * respelling, which parts hyphened words), ASCII only. The last 1 % of the shuffled lines is the
 * held-out file. The same packages give the same bytes.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync, inflateSync } from 'node:zlib'
import { wordnetLines } from './wordnet.ts'

const passageWordsMax = 40
const passageWordsMin = 3
const shortSentenceWords = 8
const heldoutShare = 0.01
const informalShare = 1 / 3
const shuffleSeed = 20240607

type Source = {
  readonly package: string
  readonly work: string
  readonly licence: string
  readonly lines: (root: string) => string[]
}

/** Sorted by package name; the order is part of the result. */
const sources: readonly Source[] = [
  { package: 'cfi-en', work: 'Copyright Does Not Exist (Walleij)', licence: 'public domain', lines: copyrightBook },
  { package: 'dict-devil', work: "The Devil's Dictionary (Bierce, 1911)", licence: 'public domain', lines: devil },
  { package: 'freedink-data', work: 'Dink Smallwood, story scripts (Robinson)', licence: 'zlib', lines: dink },
  { package: 'golang-github-pierrec-lz4-dev', work: 'The Adventures of Tom Sawyer (Twain, 1876)', licence: 'public domain', lines: sawyer },
  { package: 'jargon-text', work: 'The Jargon File 4.4.7 (Raymond, editor)', licence: 'public domain', lines: jargon },
  { package: 'r-cran-janeaustenr', work: 'six novels (Austen, 1811-1818)', licence: 'public domain (package: MIT)', lines: austen },
  { package: 'r-cran-tokenizers', work: 'Moby-Dick (Melville, 1851)', licence: 'public domain (package: MIT)', lines: whale },
  { package: 'renpy-thequestion', work: 'The Question, game script (Rothamel)', licence: 'MIT (Expat)', lines: question },
  { package: 'sword-text-web', work: 'World English Bible', licence: 'public domain', lines: bible },
  { package: 'wordnet-base', work: 'WordNet 3.0 glosses, examples and relations', licence: 'WordNet 3.0 (permissive)', lines: wordnet },
]

// ---- packages

function unpack(name: string, buildDir: string): { root: string; version: string } {
  const debDir = join(buildDir, 'debs')
  const root = join(buildDir, 'packages', name)
  mkdirSync(debDir, { recursive: true })
  const find = (): string | undefined => readdirSync(debDir).filter((file) => file.startsWith(`${name}_`)).sort().at(-1)
  if (find() === undefined) {
    const options = ['download', '-qq', '-o', 'APT::Sandbox::User=root', name]
    execFileSync('apt-get', options, { cwd: debDir, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  const deb = find()
  if (deb === undefined) throw new Error(`package: expected ${name} after apt-get download, got no file`)
  if (!existsSync(root)) {
    mkdirSync(root, { recursive: true })
    execFileSync('dpkg-deb', ['-x', join(debDir, deb), root])
  }
  return { root, version: decodeURIComponent(deb.split('_')[1]) }
}

function filesUnder(dir: string, suffix: string): string[] {
  const found: string[] = []
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name)
    if (entry.isDirectory()) found.push(...filesUnder(path, suffix))
    else if (entry.isFile() && entry.name.endsWith(suffix)) found.push(path)
  }
  return found.sort()
}

// ---- sources

function wordnet(root: string): string[] {
  return wordnetLines((name) => readFileSync(join(root, 'usr/share/wordnet', name), 'latin1')).flatMap(breakLong)
}

function austen(root: string): string[] {
  const lines = lazyLoadStrings(join(root, 'usr/lib/R/site-library/janeaustenr/data/Rdata.rdb'))
  return prose(lines.join('\n'))
}

function whale(root: string): string[] {
  const lines = lazyLoadStrings(join(root, 'usr/lib/R/site-library/tokenizers/data/Rdata.rdb'))
  const text = lines.join('\n').replace(/\r/g, '')
  const begin = text.indexOf('Call me Ishmael')
  const end = text.search(/End of (?:the )?Project Gutenberg/i)
  return prose(text.slice(begin, end < 0 ? undefined : end))
}

/** The character strings of an R lazy-load file: chunks of (big-endian length, zlib stream), each an XDR serialization. */
function lazyLoadStrings(path: string): string[] {
  const file = readFileSync(path)
  const strings: string[] = []
  for (let offset = 0; offset < file.length; ) {
    const bytes = file.readUInt32BE(offset)
    const deflated = file.subarray(offset + 4)
    const chunk = inflateSync(deflated)
    if (chunk.length !== bytes) throw new Error(`${path}: expected a chunk of ${bytes} bytes, got ${chunk.length}`)
    charsxp(chunk, strings)
    offset += 4 + deflatedBytes(deflated)
  }
  return strings
}

function deflatedBytes(deflated: Buffer): number {
  const { engine } = inflateSync(deflated, { info: true } as object) as unknown as { engine: { bytesWritten: number } }
  return engine.bytesWritten
}

/** CHARSXP is type 9; its flag word says ASCII (0x00040009) or UTF-8 (0x00008009), then length and bytes follow. */
function charsxp(chunk: Buffer, into: string[]): void {
  for (let at = 0; at + 8 <= chunk.length; ) {
    const flags = chunk.readUInt32BE(at)
    const bytes = chunk.readInt32BE(at + 4)
    if ((flags !== 0x00040009 && flags !== 0x00008009) || bytes < 0 || at + 8 + bytes > chunk.length) {
      at += 1
      continue
    }
    into.push(chunk.toString('utf8', at + 8, at + 8 + bytes))
    at += 8 + bytes
  }
}

/** SWORD zText: `.bzs` lists (offset, size, inflated size) of the zlib blocks in `.bzz`; one block is one book in OSIS. */
function bible(root: string): string[] {
  const dir = join(root, 'usr/share/sword/modules/texts/ztext/engWEB2015eb')
  const lines: string[] = []
  for (const testament of ['ot', 'nt']) {
    const table = readFileSync(join(dir, `${testament}.bzs`))
    const blocks = readFileSync(join(dir, `${testament}.bzz`))
    for (let at = 0; at + 12 <= table.length; at += 12) {
      const offset = table.readUInt32LE(at)
      const osis = inflateSync(blocks.subarray(offset, offset + table.readUInt32LE(at + 4))).toString('utf8')
      const text = osis
        .replace(/<(note|title)\b[^>]*>[\s\S]*?<\/\1>/g, ' ')
        .replace(/<div [^>]*type="x-p"[^>]*>/g, '\n\n')
        .replace(/<[^>]*>/g, '')
      lines.push(...prose(text))
    }
  }
  return lines
}

function devil(root: string): string[] {
  const text = gunzipSync(readFileSync(join(root, 'usr/share/dictd/devil.dict.dz'))).toString('latin1')
  const body = text.slice(text.indexOf('ABASEMENT, n.'))
  return prose(body.replace(/^([A-Z][A-Z' -]+), (?:n|adj|v\.[it]|v|adv|pp|x)\.(?:pl\.)?\s+/gm,
    (_, word: string) => `${word.toLowerCase()}: `))
}

function jargon(root: string): string[] {
  const text = gunzipSync(readFileSync(join(root, 'usr/share/doc/jargon-text/jargon.txt.gz'))).toString('utf8')
  return prose(text.replace(/_/g, ''))
}

function sawyer(root: string): string[] {
  const path = join(root, 'usr/share/gocode/src/github.com/pierrec/lz4/testdata/Mark.Twain-Tom.Sawyer.txt')
  const text = readFileSync(path, 'latin1').replace(/\r/g, '')
  return prose(text.slice(text.indexOf('MOST of the adventures')))
}

function copyrightBook(root: string): string[] {
  return filesUnder(join(root, 'usr/share/doc/cfi-en/html'), '.htm').flatMap((path) => {
    const html = readFileSync(path, 'latin1').replace(/\s+/g, ' ')
    return prose(decodeEntities(html.replace(/<\/?(?:p|h\d|td|li|table)\b[^>]*>/gi, '\n\n').replace(/<[^>]*>/g, '')))
  })
}

function decodeEntities(text: string): string {
  const named: Record<string, string> = {
    amp: '&', lt: '<', gt: '>', quot: '"', nbsp: ' ', mdash: ' - ', ndash: '-', rsquo: "'", lsquo: "'", ldquo: '"', rdquo: '"',
  }
  return text
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
    .replace(/&([a-z]+);/gi, (_, name: string) => named[name.toLowerCase()] ?? ' ')
}

/** Speech and choices in the DinkC scripts; a backquote and one character is the text's colour. */
function dink(root: string): string[] {
  return filesUnder(join(root, 'usr/share/games/dink/dink/Story'), '.c').flatMap((path) => {
    const said = readFileSync(path, 'latin1').matchAll(/\b(?:say|say_stop|say_stop_npc|say_xy|say_stop_xy)\s*\(\s*"([^"]*)"/g)
    return [...said].flatMap(([, text]) => prose(text.replace(/`./g, '')))
  })
}

/** Narration and speech in a Ren'Py script: a line that is a quoted text, perhaps after a speaker's letter. */
function question(root: string): string[] {
  const script = readFileSync(join(root, 'usr/share/games/renpy/the_question/game/script.rpy'), 'utf8')
  return [...script.matchAll(/^ +(?:[a-z]+ )?"((?:[^"\\]|\\.)*)"\s*$/gm)].flatMap(([, text]) =>
    prose(text.replace(/\\"/g, '"').replace(/\{[^}]*\}/g, '')),
  )
}

// ---- text

/** Paragraphs (split at blank lines) to passages; a paragraph without a sentence's end is a heading and goes. */
function prose(text: string): string[] {
  return text.split(/\n\s*\n/).flatMap((paragraph) => {
    const flat = foldAscii(paragraph).replace(/\[[^\]]*\]/g, ' ').replace(/[_*|\\^~{}<>]/g, ' ').replace(/\s+/g, ' ').trim()
    return /[.!?]["')]*$/.test(flat) || /[,;:-]$/.test(flat) ? passages(flat) : []
  })
}

function foldAscii(text: string): string {
  return text
    .replace(/[\u2018\u2019\u201b\u0060\u00b4]/g, "'")
    .replace(/[\u201c\u201d\u00ab\u00bb]/g, '"')
    .replace(/[\u2013\u2014]|--+/g, ' - ')
    .replace(/\u2026/g, '...')
    .replace(/[\u00e6\u00c6]/g, 'ae')
    .replace(/\u0153/g, 'oe')
    .normalize('NFKD')
    .replace(/[^\x20-\x7e\s]/g, '')
}

function passages(paragraph: string): string[] {
  const lines: string[] = []
  let short = ''
  for (const sentence of sentences(paragraph).flatMap(breakLong)) {
    const joined = short === '' ? sentence : `${short} ${sentence}`
    if (short !== '' && countWords(joined) > passageWordsMax) {
      lines.push(short)
      short = sentence
    } else short = joined
    if (countWords(short) >= shortSentenceWords) {
      lines.push(short)
      short = ''
    }
  }
  if (short !== '') lines.push(short)
  return lines.filter((line) => countWords(line) >= passageWordsMin)
}

function sentences(paragraph: string): string[] {
  const guarded = paragraph.replace(/\b(Mr|Mrs|Ms|Dr|St|Col|Capt|Gen|Rev|Esq|vs|etc|e\.g|i\.e)\. /g, '$1.\u0001')
  return guarded.split(/(?<=[.!?]["')]*) +(?=["'(]*[A-Z])/).map((sentence) => sentence.replace(/\u0001/g, ' ').trim())
}

/** Breaks a sentence over the limit at its strongest stop nearest the middle, again until all parts fit. */
function breakLong(sentence: string): string[] {
  if (countWords(sentence) <= passageWordsMax) return [sentence]
  const middle = sentence.length / 2
  for (const stop of [/[;:]["')]* | - /g, /,["')]* /g, / /g]) {
    const ends = [...sentence.matchAll(stop)].map((match) => match.index + match[0].length)
    const inside = ends.filter((end) => end > sentence.length * 0.15 && end < sentence.length * 0.85)
    if (inside.length === 0) continue
    const end = inside.reduce((best, next) => (Math.abs(next - middle) < Math.abs(best - middle) ? next : best))
    return [...breakLong(sentence.slice(0, end).trim()), ...breakLong(sentence.slice(end).trim())]
  }
  return []
}

function countWords(text: string): number {
  return text.split(' ').length
}

/**
 * A line as people type it in short messages: contractions without apostrophe, no capitals, no stops.
 * Book and dictionary text has none of these, and the fine-tuning text is full of them.
 */
function informal(line: string): string {
  const pronouns = '(i|you|we|they|he|she|it|that|there|what|who)'
  return line
    .toLowerCase()
    .replace(/\bi am\b/g, 'im')
    .replace(new RegExp(`\\b${pronouns} (?:will|shall)\\b`, 'g'), '$1ll')
    .replace(/\b(i|you|we|they) have (?=\w+(?:ed|en|ne|een|lt|ad)\b)/g, '$1ve ')
    .replace(/\b(you|we|they) are\b/g, '$1re')
    .replace(/\b(he|she|it|that|there|what|who) is\b/g, '$1s')
    .replace(/\b(do|does|did|is|was|were|are|could|would|should|have|has|had) not\b/g, '$1nt')
    .replace(/\b(?:can not|cannot)\b/g, 'cant')
    .replace(/\bwill not\b/g, 'wont')
    .replace(/'/g, '')
    .replace(/[^a-z0-9]+/g, ' ')
    .trim()
}

// ---- order

/** mulberry32: a 32-bit seeded generator, uniform in [0, 1). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function shuffle(lines: string[], random: () => number): void {
  for (let i = lines.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1))
    const held = lines[i]
    lines[i] = lines[j]
    lines[j] = held
  }
}

function main(): void {
  const { values } = parseArgs({ options: { out: { type: 'string', default: 'build/corpus.txt' }, heldout: { type: 'string' } } })
  const buildDir = dirname(values.out)
  const heldoutPath = values.heldout ?? join(buildDir, 'heldout.txt')
  const random = randomFrom(shuffleSeed)
  const seen = new Set<string>()
  const corpus: string[] = []
  console.log('package\tversion\tlicence\tlines\tbytes\twork')
  for (const source of sources) {
    const { root, version } = unpack(source.package, buildDir)
    let lines = 0
    let bytes = 0
    for (const raw of source.lines(root)) {
      const plain = foldAscii(raw).replace(/\s+/g, ' ').trim()
      const key = plain.toLowerCase().replace(/[^a-z0-9]+/g, ' ').trim()
      if (seen.has(key) || countWords(key) < passageWordsMin) continue
      seen.add(key)
      const line = random() < informalShare ? informal(plain) : plain
      corpus.push(line)
      lines += 1
      bytes += line.length + 1
    }
    console.log([source.package, version, source.licence, lines, bytes, source.work].join('\t'))
  }
  shuffle(corpus, random)
  const cut = corpus.length - Math.floor(corpus.length * heldoutShare)
  writeFileSync(values.out, `${corpus.slice(0, cut).join('\n')}\n`)
  writeFileSync(heldoutPath, `${corpus.slice(cut).join('\n')}\n`)
  const words = corpus.reduce((sum, line) => sum + countWords(line), 0)
  console.log(`total\t${cut} lines\t${corpus.length - cut} held out\t${words} words`)
}

main()
