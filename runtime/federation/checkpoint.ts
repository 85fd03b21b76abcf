/**
 * A run's state after whole rounds, as one safetensors file: the full set that the
 * interval began from, and, within an interval, each client's full set with moments.
 * With it stands all that decides the run's bits, the server's part and each device's,
 * so that it goes on as it began or not at all.
 */
import { refuse } from '../error.ts'
import { asObject } from '../object.ts'
import type { Layout } from '../model/layout.ts'
import type { SetState } from '../model/optimizer.ts'
import type { Contract } from '../split/contract.ts'
import { schemeOf } from '../split/scheme.ts'
import type { Brought } from '../split/share.ts'
import { readBrought } from '../split/share.ts'
import { decodeUtf8 } from '../text/utf8.ts'
import type { Crc32c } from '../wire/frame.ts'
import type { TensorInput } from '../wire/safetensors.ts'
import { decodeSafetensors, encodeSafetensors } from '../wire/safetensors.ts'

export type Checkpoint = {
  /** Steps done by every client of the interval. */
  step: number
  /** Whose turn it is where one device works at a time (sl); 0 elsewhere. */
  turn: number
  base: Float32Array
  states: ReadonlyMap<number, SetState>
  /** The server's set where all devices share it and so no state of theirs holds it (splitlora, within an interval). */
  shared: SetState | null
}

const VECTORS = ['params', 'm', 'v'] as const

function floatTensor(name: string, values: Float32Array): TensorInput {
  return { name, dtype: 'F32', shape: [values.length], data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) }
}

/** Steps that `client` had done at a checkpoint. Where devices take turns, those before `turn` have finished the interval. */
export function stepsDone({ step, turn }: Pick<Checkpoint, 'step' | 'turn'>, contract: Contract, client: number): number {
  const { interval, steps } = contract
  if (!schemeOf(contract).turns || client === turn || step === steps) return step
  const boundary = Math.floor(step / interval) * interval
  return client < turn ? Math.min(boundary + interval, steps) : boundary
}

/** All that decides the bits of a run: its own record as JSON, and for each client what its device brings. */
export type Deciding = { kept: string; brought: readonly Brought[] }

/** Bytes of JSON: a header has no room for the label counts of many devices. */
function broughtTensor(brought: readonly Brought[]): TensorInput {
  const data = new TextEncoder().encode(JSON.stringify(brought))
  return { name: 'brought', dtype: 'U8', shape: [data.length], data }
}

/** The metadata's `crc` is of the same file without it. */
export function encodeCheckpoint({ step, turn, base, states, shared }: Checkpoint, { kept, brought }: Deciding, crc32c: Crc32c): Uint8Array {
  const tensors = [floatTensor('base', base), broughtTensor(brought)]
  const metadata: Record<string, string> = { contract: kept, step: String(step), turn: String(turn), clients: [...states.keys()].join(',') }
  const add = (owner: string, state: SetState) => {
    for (const part of VECTORS) tensors.push(floatTensor(`${owner}.${part}`, state[part]))
    metadata[`power1.${owner}`] = String(state.power1)
    metadata[`power2.${owner}`] = String(state.power2)
  }
  for (const [client, state] of states) add(`client.${client}`, state)
  if (shared) add('shared', shared)
  return encodeSafetensors(tensors, { ...metadata, crc: checksum(tensors, metadata, crc32c) })
}

function checksum(tensors: readonly TensorInput[], metadata: Readonly<Record<string, string>>, crc32c: Crc32c): string {
  return String(crc32c(encodeSafetensors(tensors, metadata)) >>> 0)
}

/** Refuses `kept` where it is not `contract`, and names the first setting that differs. */
function expectContract(kept: string | undefined, contract: string, field: string): void {
  if (kept === contract) return
  if (kept === undefined) refuse('checkpoint-run', field, 'the settings of a run', 'none')
  const [before, now] = [kept, contract].map((text) => JSON.parse(text) as Record<string, unknown>)
  const name = [...Object.keys(now), ...Object.keys(before)].find((key) => JSON.stringify(before[key]) !== JSON.stringify(now[key]))
  refuse('checkpoint-run', `${field}.${name}`, `${JSON.stringify(now[name ?? ''])} as in this call`, JSON.stringify(before[name ?? '']))
}

/** What each client brings; a checkpoint that does not say it can't be held to it. Refuses `checkpoint-run`, `checkpoint-brought`. */
function decodeBrought(tensor: TensorInput | undefined, contract: Contract, field: string): Brought[] {
  if (!tensor) return refuse('checkpoint-run', field, 'what each device brings to the run', 'none, as Kerf wrote it before it kept that')
  if (tensor.dtype !== 'U8') refuse('checkpoint-brought', field, 'U8', tensor.dtype)
  const list = parseList(decodeUtf8(tensor.data, field), field)
  const clients = contract.cuts.length
  if (list.length !== clients) refuse('checkpoint-brought', field, `what ${clients} devices bring`, `${list.length}`)
  return list.map((fields, client) => readBrought(asObject(fields, `${field}.${client}`), contract, 'checkpoint-brought', `${field}.${client}`))
}

function parseList(text: string, field: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text)
    if (Array.isArray(value)) return value
  } catch {
    // Refused below.
  }
  return refuse('checkpoint-brought', field, 'a JSON list', text)
}

/** Another run's file is refused as well as a damaged one: `kept` is this call's. */
export type Expected = { kept: string; contract: Contract }

/** What each client brings beside it. Refuses a damaged file, or one of a run with other settings, by name. */
export function decodeCheckpoint(
  bytes: Uint8Array, layout: Layout, { kept, contract }: Expected, field: string, crc32c: Crc32c,
): Checkpoint & Pick<Deciding, 'brought'> {
  const { tensors, metadata } = decodeSafetensors(bytes, field)
  const { crc = 'none', ...own } = metadata
  const found = checksum([...tensors.values()], own, crc32c)
  if (crc !== found) refuse('checkpoint-crc', `${field}.crc`, found, crc)
  expectContract(metadata.contract, kept, field)
  const brought = decodeBrought(tensors.get('brought'), contract, `${field}.brought`)
  const vector = (name: string, count: number): Float32Array => {
    const tensor = tensors.get(name)
    if (tensor?.dtype !== 'F32' || tensor.shape.length !== 1 || tensor.shape[0] !== count) {
      refuse('checkpoint-tensor', `${field}.${name}`, `F32 [${count}]`, tensor ? `${tensor.dtype} [${tensor.shape}]` : 'none')
    }
    return new Float32Array(tensor.data.slice().buffer)
  }
  const number = (name: string): number => {
    const value = Number(metadata[name] ?? NaN)
    return Number.isFinite(value) ? value : refuse('checkpoint-number', `${field}.${name}`, 'a number', metadata[name] ?? 'none')
  }
  const clients = (metadata.clients ?? '').split(',').filter((text) => text !== '').map(Number)
  const state = (owner: string, count: number): SetState => {
    const [params, m, v] = VECTORS.map((part) => vector(`${owner}.${part}`, count))
    return { params, m, v, power1: number(`power1.${owner}`), power2: number(`power2.${owner}`) }
  }
  const states = new Map(clients.map((client): [number, SetState] => [client, state(`client.${client}`, layout.count)]))
  // The server's blocks are the upper part of the layout; its stage refuses another number of them.
  const shared = tensors.has('shared.params') ? state('shared', tensors.get('shared.params')!.shape[0]) : null
  return { step: number('step'), turn: number('turn'), base: vector('base', layout.count), states, shared, brought }
}
