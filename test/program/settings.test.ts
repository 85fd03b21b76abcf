/** One table of settings: a flag has one meaning and one range in every command, and an object is held to the same. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { listWritten, parseFlags } from '../../runtime/program/flags.ts'
import { COMMANDS } from '../../runtime/program/program.ts'
import type { SettingName } from '../../runtime/program/settings.ts'
import type { Settings } from '../../runtime/program/settings.ts'
import { OVERRIDES, SETTINGS, flagOf, flagTable, makeSettings, readSettings } from '../../runtime/program/settings.ts'
import { refusal } from '../refusal.ts'

const read = (names: readonly SettingName[], ...args: string[]) => readSettings({ names }, parseFlags(flagTable({ names }), args, 0))

/** What a command says to one flag; its own word, where it takes one, is given. */
function answer(command: string, name: SettingName, text: string): string {
  const takes = COMMANDS[command]
  const words = takes.word === undefined ? [] : ['ws://localhost:1']
  const flags = () => parseFlags(flagTable(takes), [...words, `--${flagOf(name)}=${text}`], words.length)
  try {
    return JSON.stringify(readSettings(takes, flags())[name])
  } catch (error) {
    return (error as Error).message
  }
}

const PROBES = [
  '', ' ', '0', '1', '2', '3', '-1', '1.5', '1e3', '4096', '4097', '8192', '8193', '65535', '65536', 'NaN', 'f32', 'f8', 'all', 'any', 'none', 'a,b',
]

test('every command answers a flag alike', () => {
  for (const name of Object.keys(SETTINGS) as SettingName[]) {
    const commands = Object.keys(COMMANDS).filter((command) => COMMANDS[command].names.includes(name) && COMMANDS[command].word !== name)
    assert.ok(commands.length > 0 || name === 'address', `${name} is taken by no command`)
    // A command may know a part of a choice, and says so; whatever it takes means the same.
    const narrowed = commands.filter((command) => COMMANDS[command].only?.[name] !== undefined)
    if (!('value' in SETTINGS[name])) continue
    for (const text of PROBES) {
      const answers = commands.map((command) => answer(command, name, text))
      const said = answers.filter((_, index) => !narrowed.includes(commands[index]))
      assert.is(new Set(said).size, Math.min(1, said.length), `--${flagOf(name)}=${text}: ${commands.join()} say ${answers.join(' | ')}`)
    }
  }
  assert.is(answer('export', 'dtype', 'int8'), '--dtype: expected f32, f16, got "int8"')
  assert.is(answer('train', 'dtype', 'int8'), '"int8"')
})

test('help shows what the table says', () => {
  for (const [command, takes] of Object.entries(COMMANDS)) {
    const table = flagTable(takes)
    for (const name of takes.names.filter((each) => each !== takes.word)) {
      const { help, value } = table[flagOf(name)]
      assert.equal([help, value], [SETTINGS[name].help, (SETTINGS[name] as { value?: string }).value], `${command} ${name}`)
    }
  }
})

test('defaults, switches and what is left open', () => {
  const settings = read(['batch', 'lr', 'steps', 'resume', 'cuts', 'scheme', 'memory', 'client'])
  assert.equal(settings as unknown, {
    batch: 16, lr: 1e-3, steps: undefined, resume: false, cuts: [1, 1, 2, 2, 3, 3], scheme: ['kerf'], memory: undefined, client: null,
  })
  assert.is(read(['resume'], '--resume').resume, true)
  assert.is(read(['scheme'], '--scheme', 'all').scheme, 'all')
  assert.equal(read(['targets'], '--targets', 'value,query').targets, ['query', 'value'])
  assert.is(read(['batch'], '--batch=4').batch, 4)
})

test('an object is held to the same ranges, and named as it came', () => {
  const names = ['batch', 'lr', 'cuts', 'scheme', 'targets', 'memory', 'resume', 'partition', 'dtype'] as const
  assert.equal(makeSettings({ names }, {}), read(names))
  const written = read(names, '--batch', '3', '--memory', '64MB', '--resume', '--dtype', 'f16')
  assert.equal(makeSettings({ names }, { batch: 3, memory: 64e6, resume: true, dtype: 'f16' }), written)
  const cases: [Parameters<typeof makeSettings>[1], string][] = [
    [{ batch: 0 }, 'settings.batch: expected a whole number of 1 … 4096, got 0'],
    [{ batch: '3' as unknown as number }, 'settings.batch: expected a whole number of 1 … 4096, got "3"'],
    [{ lr: NaN }, 'settings.lr: expected a number above 0, got NaN'],
    [{ scheme: ['split' as 'kerf'] }, 'settings.scheme: expected kerf, sl, sfl, splitlora, fl, central, got split'],
    [{ partition: 'even' }, 'settings.partition: expected contiguous, iid or dirichlet:ALPHA with ALPHA above 0, got "even"'],
    [{ resume: 1 as unknown as boolean }, 'settings.resume: expected true or false, got 1'],
    [{ steps: 3 }, `settings.steps: expected ${names.join(', ')}, got "steps"`],
  ]
  for (const [given, message] of cases) assert.is(refusal(() => makeSettings({ names }, given)).message, message)
})

/** A value for each setting that a rule names, and what else must stand beside it to break the rule. */
const CLASHES: Readonly<Record<string, readonly [value: string, others: readonly string[], object: Partial<Settings>]>> = {
  rank: ['8', ['--adapter', 'a'], { rank: 8, adapter: 'a' }], alpha: ['16', ['--adapter', 'a'], { alpha: 16, adapter: 'a' }],
  targets: ['query,value', ['--adapter', 'a'], { targets: ['query', 'value'], adapter: 'a' }],
  epochs: ['4', ['--steps', '3'], { epochs: 4, steps: 3 }], preset: ['tiny', ['--model', 'm'], { preset: 'tiny', model: 'm' }],
  labelsCount: ['2', ['--labels', 'a,b'], { labelsCount: 2, labels: ['a', 'b'] }],
  scheduler: ['longest-backward', ['--scheme', 'fl,sl,central'], { scheduler: 'longest-backward', scheme: ['fl', 'central'] }],
  codec: ['f32', ['--scheme', 'central'], { codec: 'f32', scheme: ['fl'] }],
}

test('a setting that another one overrides is refused in every command that takes both, whatever it says', () => {
  for (const { name } of OVERRIDES) {
    const [value, others, object] = CLASHES[name]
    const second = others[0].slice(2)
    const commands = Object.entries(COMMANDS)
      .filter(([, { names }]) => names.includes(name) && names.some((other) => flagOf(other) === second))
    assert.ok(commands.length > 0, name)
    for (const [command, takes] of commands) {
      const table = flagTable(takes)
      const readAll = (...args: string[]) => {
        const words = takes.word === undefined ? [] : ['ws://localhost:1']
        const all = [...words, ...args]
        return readSettings(takes, parseFlags(table, all, words.length), listWritten(table, all, words.length))
      }
      const own = [`--${flagOf(name)}`, value]
      for (const args of [[...own, ...others], [...others, ...own], [`${own[0]}=${value}`, ...others]]) {
        const { code, message } = refusal(() => readAll(...args))
        assert.is(code, 'flag-override', `${command} ${args.join(' ')}`)
        assert.match(message, new RegExp(`^--${flagOf(name)}: expected .+, got "${value}"$`))
      }
      for (const args of [own, others, []]) readAll(...args)
      const { code, message } = refusal(() => makeSettings(takes, object))
      assert.is(code, 'flag-override')
      assert.ok(message.startsWith(`settings.${name}: expected `), message)
    }
  }
  makeSettings(COMMANDS.train, { scheduler: 'fifo', scheme: ['fl', 'kerf'], rank: 4, adapter: undefined })
})

test('flags are read as people write them', () => {
  const table = { steps: { value: 'N', help: 'a' }, json: { help: 'b' }, lr: { value: 'RATE', help: 'c', default: '1' } }
  const values = (...args: string[]) => parseFlags(table, args, 2)
  assert.equal(values('--steps', '3', 'a', '--json', '--', '--b'), { values: { steps: '3', json: true, lr: '1' }, words: ['a', '--b'] })
  assert.is(values('--steps=').values.steps, '')
  assert.is(values('--steps=a=b\nc').values.steps, 'a=b\nc')
  assert.is(values('--lr', '-1').values.lr, '-1')
  assert.is(values('-h').values.help, true)
  assert.equal(values('--json', '--json', '--steps', '3', '--steps', '3').values, { steps: '3', json: true, lr: '1' })
  assert.equal(values('-').words, ['-'])
  const cases: [string[], string][] = [
    [['-x'], '-x: expected one of the flags that --help lists, got "-x"'], [['--constructor'], '--constructor: expected one of the flags'],
    [['--'.concat('x=1')], '--x: expected one of the flags'], [['--json=1'], '--json: expected no value, got "1"'],
    [['--steps'], '--steps: expected a value, got "none"'], [['--steps', '--json'], '--steps: expected a value, got "--json"'],
    [['--steps', '3', '--steps=4'], '--steps: expected one value, got "3 and 4"'],
    [['a', 'b', 'c'], 'command: expected at most 2 words beside the flags, got "a b c"'],
  ]
  for (const [args, message] of cases) assert.ok(refusal(() => values(...args)).message.startsWith(message), args.join(' '))
})

test.run()
