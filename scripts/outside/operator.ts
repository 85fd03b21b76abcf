/** What an operator of ONNX gets, and what it answers: results by each way in which Kerf's kernel computes it, or why it cannot. */
import type { Attribute, Tensor } from './protobuf.ts'
import type { Workspace } from './workspace.ts'

/** Thrown for a case that no operation of Kerf's computes; the message is the reason. */
export class NotRun extends Error {}

export function notRun(reason: string): never {
  throw new NotRun(reason)
}

export type Call = {
  workspace: Workspace
  /** In the node's order; undefined for an optional one that is left out. */
  inputs: readonly (Tensor | undefined)[]
  /** Of the node's outputs, how many it has. */
  outputs: number
  attributes: ReadonlyMap<string, Attribute>
  opset: number
}

/** The kernel's exports that were called, and each output's numbers in row-major order; halves as their bits. */
export type Way = { by: string; outputs: readonly (Float32Array | Uint16Array)[] }

export type Operator = (call: Call) => readonly Way[]

/** The input as f32; other types are not run. */
export function floatsOf(tensor: Tensor | undefined): Float32Array {
  if (tensor === undefined) return notRun('an input is left out that the kernel needs')
  return tensor.values instanceof Float32Array ? tensor.values : notRun(`${tensor.type}: the kernel computes in f32`)
}

/** The input as whole numbers. */
export function integersOf({ name, type, values }: Tensor): number[] {
  if (type !== 'int64' && type !== 'int32') return notRun(`${name}: ${type} for indices`)
  return Array.from(values as Float64Array | Int32Array)
}

export function numberOf({ attributes }: Call, name: string, standard: number): number {
  const value = attributes.get(name) ?? standard
  return typeof value === 'number' ? value : notRun(`attribute ${name} is no number`)
}

export function textOf({ attributes }: Call, name: string, standard: string): string {
  const value = attributes.get(name) ?? standard
  return typeof value === 'string' ? value : notRun(`attribute ${name} is no text`)
}
