/** The comparisons that count, from the cases' results: one line each, a figure for each of Kerf's profiles. */
import { formatNumber, formatPercent } from '../../runtime/text/quantity.ts'
import { LAYERS, productName } from './cases.ts'
import type { Profile } from './cases.ts'
import type { Host, Program } from './install.ts'
import type { Measured } from './ratio.ts'
import type { Setting } from './protocol.ts'
import { compareRounds, findFastest, gigaflops, median, shareRounds } from './ratio.ts'
import { FORMS } from './work.ts'

export type Results = ReadonlyMap<string, readonly Measured[]>

/** `cells` by profile; undefined where nothing was measured. */
export type Bar = { title: string; cells: Readonly<Record<Profile, string | undefined>> }

const PROFILES: readonly Profile[] = ['strict', 'fast']
const OLD: readonly Host[] = ['node']
/** Kerf switches the revectorizer on by itself; a peer does not, and has it only where its user gives Node the flag. */
const SHIPPED: readonly Host[] = ['node26']
/** A peer may be faster without the revectorizer, and is then taken without. */
const FLAGGED: readonly Host[] = ['node26-revec', 'node26']

type Wanted = { profile: Profile; host: Host; label?: string; threads?: number; weights?: string }

function findKerf(
  measured: readonly Measured[], { profile, host, label = '', threads = 1, weights = 'f32' }: Wanted,
): Measured | undefined {
  return measured.find((one) => one.program === 'kerf' && one.host === host && one.label === label
    && one.setting.profile === profile && one.setting.threads === threads && one.setting.weights === weights)
}

function findPeer(measured: readonly Measured[], programs: readonly Program[], hosts?: readonly Host[]): Measured | undefined {
  return findFastest(measured.filter(({ program, host }) => programs.includes(program) && (!hosts || hosts.includes(host))))
}

function showSpeed(one: Measured): string {
  return one.flops > 0 ? `${formatNumber(gigaflops(one))} GFLOP/s` : `${formatNumber(median(one.ms))} ms`
}

/** `1.42× (60.1 GFLOP/s, tfjs@node 42.3 GFLOP/s)`. */
function showRatio(ours: Measured | undefined, theirs: Measured | undefined): string | undefined {
  return ours && theirs && `${formatNumber(compareRounds(ours, theirs))}× (${showSpeed(ours)}, ${theirs.id} ${showSpeed(theirs)})`
}

function perProfile(title: string, make: (profile: Profile) => string | undefined): Bar {
  return { title, cells: Object.fromEntries(PROFILES.map((profile) => [profile, make(profile)])) as Bar['cells'] }
}

function joinCells(cells: readonly (string | undefined)[]): string | undefined {
  const known = cells.filter((cell) => cell !== undefined)
  return known.length === 0 ? undefined : known.join('; ')
}

function productBars(results: Results): Bar[] {
  return ([
    ['node', OLD, 'Node without the revectorizer', ''],
    ['node26-revec', SHIPPED, 'Node 26 with the revectorizer', ' as they come'],
    ['node26-revec', FLAGGED, 'Node 26 with the revectorizer', ', with that flag for them too'],
  ] as const).flatMap(([host, hosts, title, setting]) => LAYERS.map((layer) => {
    const against = `against the better of ONNX Runtime Web and TensorFlow.js${setting}`
    return perProfile(`product ${layer.join('×')}, ${title}, ${against}`, (profile) => {
      const measured = results.get(productName('forward', layer)) ?? []
      return showRatio(findKerf(measured, { profile, host }), findPeer(measured, ['ort-web', 'tfjs'], hosts))
    })
  }))
}

function shareBars(results: Results): Bar[] {
  const peak = results.get('peak') ?? [], forms = results.get('forms') ?? [], step = results.get('step') ?? []
  const share = (measured: readonly Measured[], wanted: Wanted, of: string) => {
    const one = findKerf(measured, wanted), other = findKerf(measured, { ...wanted, label: of })
    return one && other && `${formatPercent(shareRounds(one, other))} (${showSpeed(one)} of ${formatNumber(gigaflops(other))})`
  }
  const formShares = (profile: Profile, host: Host) => {
    const found = FORMS.map((label) => findKerf(forms, { profile, host, label })).filter((one) => one !== undefined)
    const best = findFastest(found)
    return best && found.map((one) => `${one.label} ${formatPercent(shareRounds(one, best))}`).join(', ')
  }
  const hosts = [['node', 'Node without the revectorizer'], ['node26-revec', 'Node 26 with the revectorizer']] as const
  return hosts.flatMap(([host, title]) => [
    perProfile(`share of the register peak, ${title}`, (profile) => share(peak, { profile, host, label: 'product' }, 'peak')),
    perProfile(`each form's share of the best form's GFLOP/s, ${title}`, (profile) => formShares(profile, host)),
    ...(host === 'node' ? [] : [perProfile(`whole training step's share of the product's GFLOP/s, ${title}`,
      (profile) => share(step, { profile, host, label: 'step' }, 'product'))]),
  ])
}

function peerBars(results: Results): Bar[] {
  const against = (name: string, title: string, programs: readonly Program[], setting: Setting = {}) => perProfile(title, (profile) => {
    const measured = results.get(name) ?? []
    const theirs = measured.filter((one) => Object.entries(setting).every(([key, value]) => one.setting[key] === value))
    return showRatio(findKerf(measured, { profile, host: 'node26-revec' }), findPeer(theirs, programs))
  })
  return [
    against('block', 'LoRA step of a block against TensorFlow.js and its own gradients', ['tfjs'], { gradients: 'own' }),
    against('block', 'the same with gradients written by hand around its slow kernel', ['tfjs'], { gradients: 'written' }),
    against('block', 'LoRA step of a block against jax-js', ['jax']),
    against('block', 'LoRA step of a block against PyTorch', ['torch']),
    against('ragged', 'the same on real lengths against PyTorch, padded', ['torch']),
    against('model', 'BERT-base forward against ONNX Runtime Web', ['ort-web']),
  ]
}

function ownBars(results: Results): Bar[] {
  const host = 'node26-revec'
  const against = (name: string, title: string, changed: Pick<Wanted, 'threads' | 'weights'>) => perProfile(title, (profile) => {
    const measured = results.get(name) ?? []
    return showRatio(findKerf(measured, { profile, host, ...changed }), findKerf(measured, { profile, host }))
  })
  return [
    against('threads', 'two threads over one', { threads: 2 }),
    against('int8', 'int8 frozen weights over f32', { weights: 'int8' }),
  ]
}

/** Lines of which at least one cell is known. */
export function listBars(results: Results): Bar[] {
  const bars = [...productBars(results), ...shareBars(results), ...peerBars(results), ...ownBars(results)]
  return bars.filter(({ cells }) => joinCells(Object.values(cells)) !== undefined)
}
