/**
 * A run's state after whole rounds, as one safetensors file: the full set that the
 * interval began from, and, within an interval, each client's full set with moments.
 */
import { refuse } from '../error.ts'
import type { Layout } from '../model/layout.ts'
import type { SetState } from '../model/stage.ts'
import type { TensorInput } from '../wire/safetensors.ts'
import { decodeSafetensors, encodeSafetensors } from '../wire/safetensors.ts'

export type Checkpoint = {
  /** Steps done by every client of the interval. */
  step: number
  /** Whose turn it is where one device works at a time (sl); 0 elsewhere. */
  turn: number
  base: Float32Array
  states: ReadonlyMap<number, SetState>
}

const VECTORS = ['params', 'm', 'v'] as const

function floatTensor(name: string, values: Float32Array): TensorInput {
  return { name, dtype: 'F32', shape: [values.length], data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) }
}

/** `contract` is kept with it, so that another run's checkpoint is refused. */
export function encodeCheckpoint({ step, turn, base, states }: Checkpoint, contract: string): Uint8Array {
  const tensors = [floatTensor('base', base)]
  const metadata: Record<string, string> = { contract, step: String(step), turn: String(turn), clients: [...states.keys()].join(',') }
  for (const [client, state] of states) {
    for (const part of VECTORS) tensors.push(floatTensor(`client.${client}.${part}`, state[part]))
    metadata[`power1.${client}`] = String(state.power1)
    metadata[`power2.${client}`] = String(state.power2)
  }
  return encodeSafetensors(tensors, metadata)
}

/** Refuses a damaged file, or one of a run with another contract, by name. */
export function decodeCheckpoint(bytes: Uint8Array, layout: Layout, contract: string, field: string): Checkpoint {
  const { tensors, metadata } = decodeSafetensors(bytes, field)
  if (metadata.contract !== contract) refuse('checkpoint-run', field, 'the settings of this run', 'settings of another run')
  const vector = (name: string): Float32Array => {
    const tensor = tensors.get(name)
    if (tensor?.dtype !== 'F32' || tensor.shape.length !== 1 || tensor.shape[0] !== layout.count) {
      refuse('checkpoint-tensor', `${field}.${name}`, `F32 [${layout.count}]`, tensor ? `${tensor.dtype} [${tensor.shape}]` : 'none')
    }
    return new Float32Array(tensor.data.slice().buffer)
  }
  const number = (name: string): number => {
    const value = Number(metadata[name] ?? NaN)
    return Number.isFinite(value) ? value : refuse('checkpoint-number', `${field}.${name}`, 'a number', metadata[name] ?? 'none')
  }
  const clients = (metadata.clients ?? '').split(',').filter((text) => text !== '').map(Number)
  const states = new Map(clients.map((client): [number, SetState] => {
    const [params, m, v] = VECTORS.map((part) => vector(`client.${client}.${part}`))
    return [client, { params, m, v, power1: number(`power1.${client}`), power2: number(`power2.${client}`) }]
  }))
  return { step: number('step'), turn: number('turn'), base: vector('base'), states }
}
