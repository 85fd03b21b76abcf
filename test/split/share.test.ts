/**
 * What a device brings to a run, field by field: refused where it can't be, and where it is another than before, whether the device
 * comes back to the same server or to one that was started again from a checkpoint.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SELF_TEST_DIGEST } from '../../runtime/cases/selftest.digests.ts'
import { KerfError } from '../../runtime/error.ts'
import { profileOf } from '../../runtime/kernel/load.ts'
import type { StageSpec } from '../../runtime/model/plan.ts'
import { optimizerOf } from '../../runtime/split/contract.ts'
import { numericsOf, openStageHalf } from '../../runtime/split/half.stage.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import type { Brought, Share } from '../../runtime/split/share.ts'
import { BROUGHT, broughtOf, findOtherField, parseShare } from '../../runtime/split/share.ts'
import { openKernelBuild } from '../kernels.ts'
import { refusal } from '../refusal.ts'
import { expectBits } from './bits.ts'
import { forgeContent } from './forge.ts'
import type { Ending, JoinOptions, Scene, Watch } from './harness.ts'
import { openScene, train } from './harness.ts'
import { keyOf, makeAdmission } from './keyring.ts'
import { LAYERS, makeContract, makeShares, weights } from './model.ts'
import { STRANGE } from './strange.ts'

const contract = makeContract()
const SHARE: Share = {
  dataCrc: 7, dtype: 'f16', profile: 'fast', samples: 2, labelCounts: [1, 1, 0], rows: 4, sequences: 2, longest: 2, memoryBytes: 1,
  bits: '0123456789abcdef', differs: 'sumRow n=1021',
}
const read = (share: object) => parseShare(JSON.stringify(share), contract)

test('a share comes back as it was, and without what it need not tell and what is not asked for', () => {
  assert.equal(read(SHARE), SHARE)
  assert.equal(read({ ...SHARE, dataCrc: 0, dtype: 'int8', profile: 'strict' }), { ...SHARE, dataCrc: 0, dtype: 'int8', profile: 'strict' })
  const { dataCrc: _, dtype: _dtype, profile: _profile, bits: _bits, differs: _differs, ...shorter } = SHARE
  assert.equal(read(shorter), shorter)
  assert.equal(Object.keys(read({ ...SHARE, more: 'x'.repeat(999) })).sort(), [...BROUGHT, 'memoryBytes', 'bits', 'differs'].sort())
})

test('every field of every other kind is refused by its name, and all but five are asked for', () => {
  for (const name of Object.keys(SHARE)) {
    for (const value of STRANGE) {
      const { code, field } = refusal(() => read({ ...SHARE, [name]: value }))
      assert.equal([code, field], ['share', `share.${name}`], `${name}: ${JSON.stringify(value)}`)
    }
    const { [name as 'rows']: _, ...without } = SHARE
    if (['dataCrc', 'dtype', 'profile', 'bits', 'differs'].includes(name)) read(without)
    else assert.is(refusal(() => read(without)).field, `share.${name}`)
  }
  for (const change of [
    { bits: '0123456789ABCDEF' }, { bits: '0123456789abcdef0' }, { differs: 'sumRow n=68' },
    { dataCrc: 2 ** 32 }, { dtype: 'F32' }, { dtype: 'toString' }, { profile: 'relaxed' }, { rows: 37 }, { sequences: 4 }, { longest: 13 },
  ]) {
    assert.is(refusal(() => read({ ...SHARE, ...change })).field, `share.${Object.keys(change)[0]}`, JSON.stringify(change))
  }
})

/** Another value for each field; a new one must be given one here. */
const OTHER = {
  dataCrc: 1, dtype: 'int8', profile: 'fast', samples: 9, labelCounts: [0, 0, 0], rows: 35, sequences: 2, longest: 11, memoryBytes: 1 << 20,
  bits: SELF_TEST_DIGEST, differs: 'sumRow n=1021',
} as const satisfies Record<keyof Share, unknown>

/** A `ready` in which fields are another's, or are not told. */
function forge(change: (share: Share) => object): Watch {
  return ({ client, direction, type, bytes }) => (client === 1 && direction === 'up' && type === 'ready' ? forgeContent(bytes, (body) => {
    body.metadata.share = JSON.stringify(change(JSON.parse(body.metadata.share) as Share))
  }) : undefined)
}

/** As the field itself is, whatever it makes of others: samples are counted by label. */
function changeField(share: Share, name: keyof Share): Share {
  const { labelCounts, samples } = share
  if (name === 'labelCounts') return { ...share, labelCounts: [samples, 0, 0] }
  if (name === 'samples') return { ...share, samples: samples + 1, labelCounts: labelCounts.map((count, label) => count + (label === 0 ? 1 : 0)) }
  return { ...share, [name]: OTHER[name] }
}

/** A refusal takes some tens. */
const TURNS_MAX = 5000

/** How a connection ends that must be refused; one that stays has been taken. */
async function endOf(scene: Scene, joined: Promise<Ending>): Promise<KerfError> {
  let ending: Ending | undefined
  void joined.then((met) => { ending = met })
  for (let turn = 0; ending === undefined && turn < TURNS_MAX; turn++) await scene.clock.turn()
  assert.instance(ending, KerfError, String(ending))
  return ending as KerfError
}

const SCHEMES: readonly [SchemeName, number[]][] = [
  ['kerf', [1, 2]], ['sl', [1, 2]], ['sfl', [1, 2]], ['splitlora', [1, 2]], ['fl', [LAYERS, LAYERS]],
]

for (const [scheme, cuts] of SCHEMES) {
  test(`${scheme}: each field that is another after a server's restart is refused by its name, and the run goes on with the right device`, async () => {
    const own = makeContract({ scheme, cuts, steps: 8, interval: 5, checkpointEvery: 1 })
    const whole = await train({ contract: own })
    for (const { step, bytes } of [whole.saves[0], whole.saves[whole.saves.length >> 1]]) {
      const scene = await openScene({ contract: own, resume: bytes })
      const ended = [scene.join(0)]
      for (const name of BROUGHT) {
        const { code, field } = await endOf(scene, scene.join(1, { watch: forge((share) => changeField(share, name)) }))
        assert.equal([code, field], ['share-changed', `ready.share.${name}`], `after step ${step}`)
        assert.ok(scene.events.some((event) => event.startsWith(`1 brings another ${name} than before: `)), scene.events.join('\n'))
      }
      for (const name of ['dataCrc', 'dtype', 'profile'] as const) {
        const refused = await endOf(scene, scene.join(1, { watch: forge(({ [name]: _, ...share }) => share) }))
        assert.match(refused.message, new RegExp(`^ready\\.share\\.${name}: expected \\w+, got "none"$`))
      }
      // How large it is decides nothing.
      ended.push(scene.join(1, { watch: forge((share) => changeField(share, 'memoryBytes')) }))
      expectBits((await scene.finish()).vector, whole.vector, `after step ${step}`)
      assert.equal(await Promise.all(ended), ['done', 'done'])
    }
  })
}

test('central: its one device is held to what it brought', async () => {
  const own = makeContract({ scheme: 'central', cuts: [LAYERS], checkpointEvery: 2 })
  const whole = await train({ contract: own })
  const scene = await openScene({ contract: own, resume: whole.saves[0].bytes })
  const refused = await endOf(scene, scene.join(0, { provide: (provisions) => ({ ...provisions, data: makeShares(2)[1] }) }))
  assert.is(refused.field, 'ready.share.dataCrc')
  const ended = scene.join(0)
  expectBits((await scene.finish()).vector, whole.vector)
  assert.is(await ended, 'done')
})

test('what a device tells is what its half was opened with, and its own samples in their order', async () => {
  const kernel = await openKernelBuild('simd')
  const tell = async (options: JoinOptions): Promise<Share> => {
    let told: Share | undefined
    const scene = await openScene({ contract })
    const watch: Watch = ({ type, bytes }) => {
      if (type !== 'ready') return
      forgeContent(bytes, ({ metadata }) => { told = JSON.parse(metadata.share) as Share })
      return 'cut'
    }
    const ended = scene.join(1, { ...options, watch })
    assert.is(await ended, 'lost')
    scene.run.server.stop(new Error('enough'))
    return told!
  }
  const plain = await tell({})
  assert.equal([plain.dtype, plain.profile], ['f32', 'strict'])
  const openAs = (change: Partial<StageSpec>) => (spec: StageSpec) =>
    openStageHalf(kernel, { ...spec, ...change }, weights, optimizerOf(contract), () => 0)
  const narrow = await tell({ provide: (provisions) => ({ ...provisions, openHalf: openAs({ format: 'f16' }) }) })
  assert.equal(findOtherField(plain, narrow), { name: 'dtype', before: 'f32', now: 'f16' })
  // Computed again: the same bits for less memory.
  const small = await tell({ provide: (provisions) => ({ ...provisions, openHalf: openAs({ recompute: true }) }) })
  assert.is(findOtherField(plain, small), null)
  const { sequences, labels } = makeShares(2)[1]
  const turned = await tell({ provide: (provisions) => ({ ...provisions, data: { sequences: [...sequences].reverse(), labels: labels.slice().reverse() } }) })
  assert.is(findOtherField(plain, turned)?.name, 'dataCrc')
  assert.equal({ ...broughtOf(turned), dataCrc: plain.dataCrc }, broughtOf(plain))
  assert.equal((['simd', 'scalar', 'relaxed'] as const).map(profileOf), ['strict', 'strict', 'fast'])
  assert.equal(numericsOf({ build: 'relaxed' }, { format: 'int8' }), { dtype: 'int8', profile: 'fast' })
})

test('a strict run takes no device whose self-test gives other bits, and says which case; whoever claims no bits is taken', async () => {
  const own = makeContract({ steps: 3, interval: 3 })
  const whole = await train({ contract: own })
  const scene = await openScene({ contract: own })
  const ended = [scene.join(0)]
  const other = '0123456789abcdef'
  for (const [change, got] of [
    [{ bits: other, differs: 'softmax N=5 K=8 within ±20' }, `${other}, otherwise in softmax N=5 K=8 within ±20`], [{ bits: other }, other],
    [{ differs: 'sumRow n=1021' }, `${SELF_TEST_DIGEST}, otherwise in sumRow n=1021`],
  ] as const) {
    const refused = await endOf(scene, scene.join(1, { watch: forge((share) => ({ ...share, bits: SELF_TEST_DIGEST, ...change })) }))
    assert.is(refused.code, 'device-bits')
    assert.is(refused.message, `ready.share.bits: expected ${SELF_TEST_DIGEST}, as in a strict run every engine gives, got ${JSON.stringify(got)}`)
    assert.ok(scene.events.some((event) => event.startsWith(`1 refused: ${refused.message}`)), scene.events.join('\n'))
  }
  ended.push(scene.join(1, { watch: forge((share) => ({ ...share, profile: 'fast', bits: other })) }))
  expectBits((await scene.finish()).vector, whole.vector)
  assert.equal(await Promise.all(ended), ['done', 'done'])
  assert.ok(scene.events.some((event) => event.startsWith('1 joined; it computes in the fast profile')), scene.events.join('\n'))
})

/** A server that goes on from a checkpoint, on whose roll nobody stands. */
async function resumedWithoutRoll(): Promise<{ scene: Scene; known: Brought }> {
  const own = makeContract({ checkpointEvery: 1 })
  const { saves } = await train({ contract: own })
  const scene = await openScene({ contract: own, resume: saves[0].bytes, admission: makeAdmission() })
  return { scene, known: scene.run.server.members[1].seat.brought! }
}

test('who has not proven to be a client is not told what that client brought', async () => {
  const { scene, known } = await resumedWithoutRoll()
  const data = makeShares(3)[2]
  for (const options of [{}, { key: keyOf(8) }]) {
    const refused = await endOf(scene, scene.join(1, { ...options, provide: (provisions) => ({ ...provisions, data }) }))
    assert.match(refused.message, /^ready\.share\.dataCrc: expected what this client brought before, got \d+$/)
    assert.not.match(refused.message, new RegExp(String(known.dataCrc)))
    assert.is(scene.run.server.members[1].seat.key, null)
  }
  assert.ok(scene.events.some((event) => event.endsWith(`for ${known.dataCrc}`)))
})

test('a seat whose device has yet to come back has no share, is free, and is waited for', async () => {
  const { scene } = await resumedWithoutRoll()
  const { seat } = scene.run.server.members[1]
  assert.equal([seat.share, seat.ready, seat.name, seat.key], [null, false, null, null])
  const first = scene.join(0)
  await scene.wait(0)
  assert.not.ok(scene.events.includes('ready'))
  const ended = [first, scene.join(1, { name: 'whoever' })]
  await scene.finish()
  assert.equal(await Promise.all(ended), ['done', 'done'])
})

test.run()
