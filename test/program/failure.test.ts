/** What a host throws becomes a refusal with a name; what is Kerf's own fault stays as it is. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import { describeFailure, nameFailure } from '../../runtime/program/failure.ts'
import { runProgram } from '../../runtime/program/program.ts'
import { createDisk } from '../host/disk.ts'
import { createMemoryHost, placeAssets } from '../host/memory.ts'

const coded = (code: string, message: string) => Object.assign(new Error(message), { code })

test('errors of a host have a name and one line', () => {
  const cases: [unknown, string, RegExp][] = [
    [new RangeError('Array buffer allocation failed'), 'memory', /^memory: expected room on this host, got "Array buffer/],
    [new RangeError('Invalid typed array length: 99999999999'), 'memory', /^memory: /],
    // As one comes out of a worker, without its class.
    [Object.assign(new Error('Array buffer allocation failed'), { name: 'RangeError' }), 'memory', /^memory: /],
    [coded('EMFILE', 'EMFILE: too many open files'), 'host', /^host: expected what this takes, got "EMFILE: too many open files"$/],
    [coded('EAGAIN', 'spawn'), 'host', /got "EAGAIN: spawn"$/],
    [Object.assign(coded('memory', 'memory: expected room'), { name: 'KerfError', field: 'memory' }), 'memory', /^memory: expected room$/],
  ]
  for (const [error, code, message] of cases) {
    const named = nameFailure(error)
    assert.instance(named, KerfError)
    assert.is((named as KerfError).code, code)
    assert.match(describeFailure(error), message)
  }
})

test("a fault of Kerf's own keeps its class and its place", () => {
  const stack = new RangeError('Maximum call stack size exceeded')
  for (const error of [new TypeError('x is undefined'), stack, coded('ERR_INVALID_ARG_TYPE', 'x'), 'text', null]) {
    assert.is(nameFailure(error), error)
  }
})

test('a host without room, or without permission: one line, exit 1', async () => {
  for (const error of [new RangeError('Array buffer allocation failed'), coded('EIO', 'i/o error'), coded('EMFILE', 'too many files')]) {
    const disk = createDisk()
    placeAssets(disk)
    disk.read = () => Promise.reject(error)
    const host = createMemoryHost(disk)
    assert.is(await runProgram(host, ['infer', '--text', 'a']), 1)
    assert.match(host.shown(), /^kerf: [^\n]+\n$/)
  }
})

test('an error line holds no control, whoever wrote the words', async () => {
  const host = createMemoryHost(createDisk())
  for (const args of [['tune\x1b[2J\u202e'], ['infer', '--\x9bx'], ['train', '--data', '/\x1b]0;x\x07\n.txt']]) {
    assert.is(await runProgram(host, args), 2)
  }
  assert.not.match(host.shown().replaceAll('\n', ''), /[\x00-\x1f\x7f-\x9f\u202e]/)
  assert.is(host.shown().trimEnd().split('\n').length, 3)
})

test.run()
