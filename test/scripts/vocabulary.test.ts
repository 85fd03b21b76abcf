import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { countWords, specialTokens, splitPieces, splitWords, trainVocabulary } from '../../scripts/base/vocabulary.ts'

const text = ['I feel happy, so happy today!', 'happiness is feeling happy', 'She felt sad; sadness is not happiness.', 'CAFÉ café cafe']
const size = 90

test('the same text gives the same vocabulary, whatever the order of its lines', () => {
  const forward = trainVocabulary(countWords(text), size)
  assert.equal(trainVocabulary(countWords(text), size), forward)
  assert.equal(trainVocabulary(countWords([...text].reverse()), size), forward)
})

test('special tokens come first, nothing comes twice, the size is kept', () => {
  for (const wanted of [60, size, 10_000]) {
    const vocabulary = trainVocabulary(countWords(text), wanted)
    assert.equal(vocabulary.slice(0, specialTokens.length), specialTokens)
    assert.is(new Set(vocabulary).size, vocabulary.length)
    assert.ok(vocabulary.length <= wanted)
  }
})

test('every character of the text is a piece, and every word can be spelled', () => {
  const counts = countWords(text)
  const vocabulary = new Set(trainVocabulary(counts, 60))
  for (const word of counts.keys()) {
    for (const [i, character] of [...word].entries()) assert.ok(vocabulary.has(i === 0 ? character : `##${character}`), word)
    assert.is(splitPieces(word, vocabulary).map((piece) => piece.replace(/^##/, '')).join(''), word)
  }
  assert.equal(splitPieces('日', vocabulary), ['[UNK]'])
})

test('merges follow the counts: worked by hand', () => {
  // hug ×10, pug ×5, pun ×12, bun ×4, hugs ×5: ##u ##g (20) merges first, then ##u ##n (16), h ##ug (15), p ##un (12).
  const counts = new Map([['hug', 10], ['pug', 5], ['pun', 12], ['bun', 4], ['hugs', 5]])
  const vocabulary = trainVocabulary(counts, 19)
  assert.equal(vocabulary.slice(5), ['b', 'g', 'h', 'n', 'p', 's', 'u', '##g', '##n', '##s', '##u', '##ug', '##un', 'hug'])
  assert.is(trainVocabulary(counts, 20).at(-1), 'pun')
})

test('a repeated pair merges from the left, and overlaps are not lost', () => {
  const vocabulary = trainVocabulary(new Map([['aaaaa', 3]]), 10)
  assert.equal(vocabulary.slice(5), ['a', '##a', '##aa', 'aaa', 'aaaaa'])
})

test('a text that runs out of pairs gives whole words and stops', () => {
  const counts = countWords(text)
  const vocabulary = new Set(trainVocabulary(counts, 10_000))
  for (const word of counts.keys()) assert.ok(vocabulary.has(word), word)
})

test('a size below the characters is refused', () => {
  assert.throws(() => trainVocabulary(countWords(text), 8), /^size: expected at least \d+ for this text's characters, got 8$/)
})

test('favoured words are lifted only when the text has them', () => {
  const counts = countWords(text, ['happy', 'sad', 'furious'], 50)
  assert.is(counts.get('happy'), 50)
  assert.is(counts.get('sad'), 1)
  assert.is(counts.has('furious'), false)
})

test('words are lower case, without accents, punctuation split off', () => {
  assert.equal(splitWords("Café: don't\tSTOP!"), ['cafe', ':', 'don', "'", 't', 'stop', '!'])
})

test.run()
