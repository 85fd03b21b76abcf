/**
 * What the tokenizer files of a model directory say together, as one `tokenizer.json`: what transformers makes of them, or a
 * refusal where they contradict each other. README's table lists every field.
 */
import { refuse } from '../error.ts'
import type { Fields } from '../object.ts'
import { asObject, parseObject } from '../object.ts'

/** The texts of a model directory's files, those that it has. */
export type TokenizerFiles = {
  tokenizerJson?: string
  vocabText?: string
  tokenizerConfig?: string
  addedTokens?: string
  specialTokensMap?: string
}

/** UTF-16 units of `tokenizer.json` or `vocab.txt`. */
export const VOCAB_CHARS_MAX = 1 << 25
export const SPECIAL_TOKENS = { cls: '[CLS]', sep: '[SEP]', pad: '[PAD]', unk: '[UNK]', mask: '[MASK]' } as const

const WORD_CHARS_MAX = 100
const CONFIG = 'tokenizer_config.json'
const MAP = 'special_tokens_map.json'
const ADDED = 'added_tokens.json'

/** Those whose options decide nothing: tokenizer.json is taken as it is. */
const GENERIC_CLASSES = ['PreTrainedTokenizerFast', 'PreTrainedTokenizer', 'TokenizersBackend']
/** Those that cut as BERT's does. */
const BERT_CLASSES = [
  'Bert', 'DistilBert', 'Electra', 'MobileBert', 'SqueezeBert', 'ConvBert', 'LayoutLM', 'LayoutLMv2', 'RetriBert', 'Lxmert', 'Splinter',
].flatMap((name) => [`${name}Tokenizer`, `${name}TokenizerFast`])

/** Refuses `tokens-unsupported` for the tokenizer of another kind of model. */
export function checkTokenizerClass(name: unknown, field: string): void {
  if (name === undefined || name === null || name === 'AutoTokenizer') return
  const known = typeof name === 'string' && [...GENERIC_CLASSES, ...BERT_CLASSES].includes(name)
  if (!known) refuse('tokens-unsupported', field, 'BertTokenizer or one that cuts alike', name)
}

/** Ids by piece: the line's number in `vocab.txt`. */
function parseVocab(text: string): Fields {
  if (text.length > VOCAB_CHARS_MAX) refuse('tokens-size', 'vocab.txt', `at most ${VOCAB_CHARS_MAX} characters`, text.length)
  const lines = text.replace(/^\uFEFF/, '').split('\n').map((line) => line.replace(/\r$/, ''))
  if (lines.at(-1) === '') lines.pop()
  const ids = new Map<string, number>()
  lines.forEach((piece, id) => {
    const field = `vocab.txt:${id + 1}`
    if (piece === '') refuse('tokens-vocab', field, 'a piece', piece)
    // Python would end the line there, and all ids after it would be others.
    if (piece.includes('\r')) refuse('tokens-vocab', field, 'a piece without a line end of its own', piece)
    if (ids.has(piece)) refuse('tokens-vocab', field, 'a piece of its own', piece)
    ids.set(piece, id)
  })
  return Object.fromEntries(ids)
}

/** `vocab.txt` as the `tokenizer.json` that transformers would write for it, without added tokens. */
function buildTokenizer(vocabText: string): Fields {
  const vocab = parseVocab(vocabText)
  const piece = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } })
  const sequence = (id: string, type_id: number) => ({ Sequence: { id, type_id } })
  const { cls, sep } = SPECIAL_TOKENS
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [piece(cls, 0), sequence('A', 0), piece(sep, 0)],
      pair: [piece(cls, 0), sequence('A', 0), piece(sep, 0), sequence('B', 1), piece(sep, 1)],
      special_tokens: Object.fromEntries([cls, sep].map((token) => [token, { id: token, ids: [vocab[token]], tokens: [token] }])),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: SPECIAL_TOKENS.unk,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: WORD_CHARS_MAX,
      vocab,
    },
  }
}

/** A WordPiece model of the days before models bore a type: a vocabulary without merges. */
function nameModel(tokenizer: Fields): Fields {
  const model = asObject(tokenizer.model, 'tokenizer.json.model')
  if (model.type !== undefined || model.merges !== undefined) return tokenizer
  return { ...tokenizer, model: { ...model, type: 'WordPiece' } }
}

/** The options of tokenizer_config.json that change tokens, tokenizer.json's names of them, and what transformers takes for none. */
const OPTIONS = [
  { key: 'do_lower_case', part: 'lowercase', missing: true },
  { key: 'strip_accents', part: 'strip_accents', missing: null },
  { key: 'tokenize_chinese_chars', part: 'handle_chinese_chars', missing: true },
] as const

function readSwitch(value: unknown, field: string, allowNull: boolean): boolean | null {
  if (typeof value === 'boolean' || (allowNull && value === null)) return value as boolean | null
  return refuse('tokens-config', field, `true or false${allowNull ? ' or null' : ''}`, value)
}

/** What a part comes to: accents go with the case unless they have a word of their own. */
function effectOf(normalizer: Fields, part: string): unknown {
  return part === 'strip_accents' ? normalizer.strip_accents ?? normalizer.lowercase : normalizer[part]
}

/**
 * transformers builds the normaliser anew from tokenizer_config.json. Where that says nothing and its default is not what
 * tokenizer.json says, the one would change tokens unasked and the other would not: refused.
 */
function applyOptions(tokenizer: Fields, options: Fields, own: boolean): Fields {
  const given = asObject(tokenizer.normalizer, 'tokenizer.json.normalizer')
  let normalizer = given
  const has = (key: string) => options[key] !== undefined
  for (const { key, part } of OPTIONS) {
    if (has(key)) normalizer = { ...normalizer, [part]: readSwitch(options[key], `${CONFIG}.${key}`, part === 'strip_accents') }
  }
  for (const { key, part, missing } of OPTIONS) {
    if (has(key)) continue
    const taken = { ...normalizer, [part]: missing }
    const said = effectOf(normalizer, part)
    if (own && effectOf(taken, part) !== said) {
      const expected = `${said} as in tokenizer.json, since transformers takes ${missing} where nothing is said`
      refuse('tokens-config', `${CONFIG}.${key}`, expected, 'none')
    }
  }
  const same = OPTIONS.every(({ part }) => effectOf(normalizer, part) === effectOf(given, part))
  return same ? tokenizer : { ...tokenizer, normalizer }
}

/** Options that Kerf does not follow, each with the values that change nothing. */
function refuseOptions(options: Fields, tokenizer: Fields): void {
  const { clean_text = true } = asObject(tokenizer.normalizer, 'tokenizer.json.normalizer')
  const { continuing_subword_prefix = '##' } = asObject(tokenizer.model, 'tokenizer.json.model')
  const plain: Readonly<Record<string, readonly unknown[]>> = {
    do_basic_tokenize: [true], split_special_tokens: [false], clean_text: [clean_text], wordpieces_prefix: [continuing_subword_prefix],
    add_prefix_space: [false],
  }
  for (const [key, values] of Object.entries(plain)) {
    const value = options[key] ?? undefined
    if (value !== undefined && !values.includes(value)) refuse('tokens-unsupported', `${CONFIG}.${key}`, String(values[0]), value)
  }
  const { never_split } = options
  if (Array.isArray(never_split) && never_split.length > 0) {
    refuse('tokens-unsupported', `${CONFIG}.never_split`, 'none', JSON.stringify(never_split))
  }
}

/** A token as a file has it, and the field that says so. */
type Said = { field: string; content: string; traits?: Traits; id?: number }
type Traits = { single_word: boolean; lstrip: boolean; rstrip: boolean; normalized: boolean; special: boolean }
const TRAITS = ['single_word', 'lstrip', 'rstrip', 'normalized'] as const

/** Whether a token is special decides whether it is normalised, where nothing is said of that. */
function readTraits(fields: Fields, field: string, special: boolean): Traits {
  const flag = (key: string, missing: boolean) => {
    const value = fields[key] ?? missing
    return typeof value === 'boolean' ? value : refuse('tokens-config', `${field}.${key}`, 'true or false', value)
  }
  return {
    single_word: flag('single_word', false), lstrip: flag('lstrip', false), rstrip: flag('rstrip', false),
    normalized: flag('normalized', !special), special,
  }
}

/** A token by its text alone, or with its flags. */
function readNamed(value: unknown, field: string): Said {
  if (typeof value === 'string') return { field, content: value }
  const fields = asObject(value, field)
  if (typeof fields.content !== 'string') refuse('tokens-config', `${field}.content`, 'a text', fields.content)
  return { field, content: fields.content, traits: readTraits(fields, field, true) }
}

function readNames(source: Fields, file: string): Said[] {
  const special = Object.entries(SPECIAL_TOKENS).flatMap(([name, content]) => {
    const key = `${name}_token`
    if (source[key] === undefined || source[key] === null) return []
    const said = readNamed(source[key], `${file}.${key}`)
    if (said.content !== content) refuse('tokens-unsupported', said.field, content, said.content)
    return [said]
  })
  const others = ['bos_token', 'eos_token'].filter((key) => (source[key] ?? null) !== null)
    .map((key) => readNamed(source[key], `${file}.${key}`))
  const lists = ['additional_special_tokens', 'extra_special_tokens'].flatMap((key) => {
    const list = source[key] ?? []
    const values = Array.isArray(list) ? list : Object.values(asObject(list, `${file}.${key}`))
    return values.map((value, index) => readNamed(value, `${file}.${key}[${index}]`))
  })
  return [...special, ...others, ...lists]
}

/** Named special tokens, each once; those of special_tokens_map.json stand above those of tokenizer_config.json. */
function mergeNames(options: Fields, map: Fields): Said[] {
  const names = new Map(readNames(options, CONFIG).map((said) => [said.content, said]))
  for (const said of readNames(map, MAP)) {
    const before = names.get(said.content)
    names.set(said.content, said.traits ? said : before ?? said)
  }
  return [...names.values()]
}

function readDecoder(value: unknown): Said[] {
  const field = `${CONFIG}.added_tokens_decoder`
  return Object.entries(asObject(value, field)).map(([key, token]) => {
    const at = `${field}.${key}`, fields = asObject(token, at)
    if (typeof fields.content !== 'string') refuse('tokens-config', `${at}.content`, 'a text', fields.content)
    const special = fields.special ?? false
    if (typeof special !== 'boolean') refuse('tokens-config', `${at}.special`, 'true or false', special)
    return { field: at, content: fields.content, traits: readTraits(fields, at, special), id: Number(key) }
  })
}

/** added_tokens.json gives ids alone; what another file names special is. */
function readAdded(added: Fields, names: readonly Said[]): Said[] {
  return Object.entries(added).map(([content, id]) => {
    const field = `${ADDED}.${content}`
    if (typeof id !== 'number') refuse('tokens-vocab', field, 'an id', id)
    const named = names.find((said) => said.content === content)
    return { field, content, id, traits: named?.traits ?? readTraits({}, field, named !== undefined) }
  })
}

type AddedEntry = Fields & { content: string; id: number }

/** The tokens that the other files add to those of tokenizer.json, numbered as the reference numbers them. */
class AddedList {
  readonly entries: AddedEntry[]
  private readonly vocab: Fields
  private readonly file: boolean
  private readonly size: number

  /** @param file whether there is a tokenizer.json, whose flags stand */
  constructor(tokenizer: Fields, file: boolean) {
    const added = tokenizer.added_tokens
    if (!Array.isArray(added)) refuse('tokens-config', 'tokenizer.json.added_tokens', 'a list', added)
    this.entries = added.map((token) => asObject(token, 'tokenizer.json.added_tokens') as AddedEntry)
    this.vocab = asObject(asObject(tokenizer.model, 'tokenizer.json.model').vocab, 'tokenizer.json.model.vocab')
    this.size = Object.keys(this.vocab).length
    this.file = file
  }

  private idOf(content: string): number {
    if (Object.hasOwn(this.vocab, content)) return this.vocab[content] as number
    return Math.max(this.size, ...this.entries.map(({ id }) => id + 1))
  }

  /** @param binding whether its traits must be those that a file before it gave */
  add({ field, content, traits, id }: Said, binding: boolean): void {
    if (content === '') refuse('tokens-vocab', field, 'a text', content)
    const present = this.entries.find((entry) => entry.content === content)
    const own = present?.id ?? this.idOf(content)
    if (id !== undefined && id !== own) {
      const why = present ? 'as in tokenizer.json' : 'the next one, which the tokenizers library gives it'
      refuse('tokens-vocab', field, `the id ${own}, ${why}`, id)
    }
    if (!present) return void this.entries.push({ id: own, content, ...traits ?? readTraits({}, field, true) })
    if (!traits || !binding) return
    const before = readTraits(present, field, present.special === true)
    for (const flag of TRAITS) {
      const expected = `${before[flag]} as ${this.file ? 'in tokenizer.json' : 'another file has it'}`
      if (traits[flag] !== before[flag]) refuse('tokens-config', `${field}.${flag}`, expected, traits[flag])
    }
  }
}

/** Every added token, in the order in which transformers adds them. */
function collectTokens(tokenizer: Fields, options: Fields, files: TokenizerFiles, generic: boolean): readonly AddedEntry[] {
  const file = files.tokenizerJson !== undefined
  const list = new AddedList(tokenizer, file)
  const decoder = options.added_tokens_decoder ?? undefined
  // With added_tokens_decoder the older files are not looked into.
  const map = decoder === undefined && files.specialTokensMap !== undefined ? parseObject(files.specialTokensMap, MAP) : {}
  const names = mergeNames(options, map)
  const looks = decoder === undefined && files.addedTokens !== undefined
  const older = looks ? readAdded(parseObject(files.addedTokens!, ADDED, VOCAB_CHARS_MAX), names) : []
  const numbered = [...decoder === undefined ? [] : readDecoder(decoder), ...older].sort((a, b) => a.id! - b.id!)
  // Which of the two transformers believes changed with its version 5.
  const forgotten = decoder === undefined ? undefined : list.entries.find(({ content }) => (
    !Object.values<string>(SPECIAL_TOKENS).includes(content) && !numbered.some((said) => said.content === content)))
  if (forgotten) refuse('tokens-config', `${CONFIG}.added_tokens_decoder`, `${forgotten.content} too, as in tokenizer.json`, 'none')
  for (const said of numbered) list.add(said, said.field.startsWith(CONFIG))
  for (const said of names) list.add(said, !file)
  // tokenizer.json alone is taken as it is; beside it, and for vocab.txt, transformers has BERT's special tokens.
  const alone = generic || (file && files.tokenizerConfig === undefined && files.specialTokensMap === undefined)
  const vocab = asObject(asObject(tokenizer.model, 'tokenizer.json.model').vocab, 'tokenizer.json.model.vocab')
  const missing = alone ? [] : Object.values(SPECIAL_TOKENS).filter((content) => Object.hasOwn(vocab, content))
  for (const content of missing) list.add({ field: 'special tokens', content }, false)
  return list.entries
}

/** One `tokenizer.json` for all files of a directory; `text` where that is the file itself, word for word. */
export function resolveTokenizer(files: TokenizerFiles): { tokenizer: Fields; text?: string } {
  const { tokenizerJson: text, vocabText, tokenizerConfig } = files
  const options = tokenizerConfig === undefined ? {} : parseObject(tokenizerConfig, CONFIG)
  checkTokenizerClass(options.tokenizer_class, `${CONFIG}.tokenizer_class`)
  const given = text !== undefined ? nameModel(parseObject(text, 'tokenizer.json', VOCAB_CHARS_MAX))
    : vocabText !== undefined ? buildTokenizer(vocabText)
      : refuse('tokens-missing', 'tokenizer', 'tokenizer.json or vocab.txt', 'neither')
  const generic = text !== undefined && GENERIC_CLASSES.includes(String(options.tokenizer_class))
  expectBert(given)
  refuseOptions(options, given)
  const resolved = generic ? given : applyOptions(given, options, text !== undefined && tokenizerConfig !== undefined)
  const before = Array.isArray(given.added_tokens) ? given.added_tokens.length : 0
  const added = collectTokens(given, options, files, generic)
  const tokenizer = added.length === before ? resolved : { ...resolved, added_tokens: sortTokens(added, before) }
  return tokenizer === given && text !== undefined ? { tokenizer, text } : { tokenizer }
}

/** As the reference writes them, by id; those of the file come first, in its order. */
function sortTokens(added: readonly AddedEntry[], before: number): AddedEntry[] {
  return [...added.slice(0, before), ...added.slice(before).sort((a, b) => a.id - b.id)]
}

/** Refuses a tokenizer of another kind than BERT's. */
function expectBert(tokenizer: Fields): void {
  const kinds = {
    model: ['WordPiece'],
    normalizer: ['BertNormalizer'],
    pre_tokenizer: ['BertPreTokenizer'],
    post_processor: ['TemplateProcessing', 'BertProcessing'],
  }
  for (const [part, known] of Object.entries(kinds)) {
    const type = asObject(tokenizer[part], `tokenizer.json.${part}`).type
    if (typeof type !== 'string' || !known.includes(type)) {
      refuse('tokens-unsupported', `tokenizer.json.${part}.type`, known.join(' or '), type)
    }
  }
}
