/** Names of labels: numbers as numbers, and rows that are called by their number. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { compareLabels, labelFinder, labelName, listLabels, numberRows } from '../../runtime/data/labels.ts'
import { namesOf, parseRows } from '../../runtime/data/rows.ts'

test('numbers sort as numbers, before names', () => {
  const sorted = ['-1', '0', '2', '02', '2.5', '10', '100', 'A', 'a1', 'a10', 'a2'].sort(compareLabels)
  assert.equal([...sorted].reverse().sort(compareLabels), sorted)
  assert.equal(sorted, ['-1', '0', '02', '2', '2.5', '10', '100', 'A', 'a1', 'a10', 'a2'])
})

test('a number is one name in lines, JSON and tables', () => {
  const numbers = [3, 11, 2, 0, 3]
  const names = ['0', '2', '3', '11']
  const csv = `text,label\n${numbers.map((label) => `a,${label}\n`).join('')}`
  for (const [name, text] of [
    ['d.jsonl', numbers.map((label) => `{"text":"a","label":${label}}`).join('\n')],
    ['d.jsonl', numbers.map((label) => `{"text":"a","label":"${label}"}`).join('\n')],
    ['d.json', JSON.stringify(numbers.map((label) => ({ text: 'a', label })))],
    ['d.csv', csv], ['d.tsv', csv.replaceAll(',', '\t')], ['d.txt', numbers.map((label) => `a;${label}`).join('\n')],
    // A column of floats, as programs write whole numbers beside an empty field.
    ['d.csv', csv.replaceAll(/(\d)\n/g, '$1.0\n')],
  ]) assert.equal(namesOf(parseRows(name, text)), names, name)
  assert.equal(['1.0', '-0', '-2.00', '1.10', '007', '1e3', 4.5, -0].map(labelName), ['1', '0', '-2', '1.10', '007', '1e3', '4.5', '0'])
})

test('a label finds its row by name, else by number', () => {
  const find = labelFinder(['sad', 'glad', '__proto__'])
  assert.equal(['glad', 1, '1', '1.0', '__proto__', 3, -1, 1.5, '01', 'Sad', ''].map(find), [1, 1, 1, 1, 2, -1, -1, -1, -1, -1, -1])
  const stars = labelFinder(['1', '2.0', '3'])
  assert.equal([1, 2, '2', '2.0', 3, 0].map(stars), [0, 1, 1, 1, 2, -1])
  assert.equal([1, '2 stars'].map(labelFinder(['1 star', '2 stars'])), [-1, 1])
})

test('rows without names are called by number, or not at all', () => {
  assert.equal(numberRows([2, '0', '1.0'], 3), ['0', '1', '2'])
  assert.equal(numberRows(['LABEL_1', 'LABEL_0'], 3), ['LABEL_0', 'LABEL_1', 'LABEL_2'])
  const others = [[0, 3], [1, 2, 3], [-1, 0], ['LABEL_0', 1], ['LABEL_3'], ['sad', 0], ['00', 0], [0.5]]
  for (const labels of others) assert.is(numberRows(labels, 3), undefined)
})

test('a message names twenty labels at most', () => {
  assert.is(listLabels(['a', 'b']), 'a, b')
  assert.match(listLabels(Array.from({ length: 23 }, (_, index) => `l${index}`)), /^l0, .*, l19 and 3 more$/)
})

test.run()
