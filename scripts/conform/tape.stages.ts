/**
 * Whole models on a tape: a stage runs here, and all that it does to its memory is recorded, every export it calls with its
 * numbers, what the host writes between two calls, and what it reads. Played elsewhere, the same calls train the same model.
 */
import { STAGE_CASES, openStageCase, trainStage } from '../../runtime/conformance/stages.ts'
import type { StageCase } from '../../runtime/conformance/stages.ts'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import type { Kernel } from '../../runtime/kernel/load.ts'
import { countOf } from '../../runtime/model/layout.ts'
import type { Stage } from '../../runtime/model/stage.ts'
import type { Abi } from '../abi.ts'
import { ACTIONS, ELEMENTS, joinWords, wordsOfCall } from './tape.ts'
import type { Encoded } from './tape.ts'

/** Bytes that stay as they were between two that changed, for which one write is shorter than two. */
const GAP_WORDS = 16

/** What is read, in the order of reading: of a tensor's values, or of the last call's result. */
type Read = { tensor: string; from: number | 'result'; bytes: number }

function writeAction(address: number, words: Uint32Array): number[] {
  const filled = words.length % 2 === 0 ? [...words] : [...words, 0]
  return [ACTIONS.write, 2 + filled.length / 2, address, 0, 4 * words.length, 0, ...filled]
}

/** Where `now` is not `before`, as writes. */
function writeChanges(before: Uint32Array, now: Uint32Array): number[][] {
  const actions: number[][] = []
  for (let at = 0; at < now.length; at++) {
    if (now[at] === before[at]) continue
    let end = at + 1
    for (let next = end; next < now.length && next - end < GAP_WORDS; next++) if (now[next] !== before[next]) end = next + 1
    actions.push(writeAction(4 * at, now.subarray(at, end)))
    at = end
  }
  return actions
}

/** A call, or a read that is placed once all are known. */
type Step = number[] | Read

/** Makes `stage` tell what it does from here on. */
function watchStage(stage: Stage, abi: Abi): Step[] {
  const words = new Uint32Array(stage.memory.buffer)
  let before = new Uint32Array(words.length)
  const steps: Step[] = [[ACTIONS.clear, 2, 0, 0, words.byteLength, 0]]
  const exported = stage.kernel as unknown as Record<string, (...args: number[]) => number>
  const watch = (name: string) => (...args: number[]) => {
    steps.push(...writeChanges(before, words), wordsOfCall(abi, name, args))
    const result = exported[name](...args)
    before = words.slice()
    return result
  }
  const kernel = Object.fromEntries(Object.keys(abi.functions).map((name) => [name, watch(name)])) as unknown as KernelExports
  const { plan } = stage
  const own = {
    activation: stage.activation.bind(stage), logits: stage.logits.bind(stage), loss: stage.loss.bind(stage),
    backward: stage.backward.bind(stage), readSet: stage.readSet.bind(stage), weight: stage.weight.bind(stage),
  }
  const read = (tensor: string, from: number | 'result', bytes: number) => { steps.push({ tensor, from, bytes }) }
  const watched: Partial<Stage> = {
    activation() {
      const values = own.activation()
      read('activations', plan.out, values.byteLength)
      return values
    },
    logits() {
      const values = own.logits()
      read('logits', plan.classify.logits, values.byteLength)
      return values
    },
    loss(labels) {
      const value = own.loss(labels)
      read('losses', 'result', 8)
      return value
    },
    backward(dOut) {
      const dx = own.backward(dOut)
      if (dx) read('gradients', plan.dOut, dx.byteLength)
      return dx
    },
    readSet(index) {
      const { params, m, v, layout } = plan.sets[index]
      read('trained', params, 4 * layout.count)
      read('moments', m, 4 * layout.count)
      read('moments', v, 4 * layout.count)
      return own.readSet(index)
    },
    weight(name) {
      const tensor = plan.weights.tensors.find((candidate) => candidate.name === name)!
      read('trained', tensor.address, 4 * countOf(tensor.shape))
      return own.weight(name)
    },
  }
  Object.assign(stage, watched, { kernel })
  return steps
}

async function encodeStage(kernel: Kernel, it: StageCase, abi: Abi): Promise<Encoded> {
  const stage = await openStageCase(kernel, it)
  const steps = watchStage(stage, abi)
  const { results } = trainStage(stage, it)
  const outs = Object.keys(results)
  const places = new Map<string, number>()
  let end = stage.memory.buffer.byteLength
  for (const tensor of outs) {
    places.set(tensor, end)
    end += Math.ceil(results[tensor].bytes.length / 8) * 8
  }
  const calls = steps.map((step) => {
    if (!('tensor' in step)) return step
    const at = places.get(step.tensor)!
    places.set(step.tensor, at + step.bytes)
    return step.from === 'result' ? [ACTIONS.keep, 1, at, 0] : [ACTIONS.copy, 3, at, 0, step.from, 0, step.bytes, 0]
  })
  const elements = outs.map((tensor) => results[tensor].element)
  const found = outs.map((tensor, index) => {
    const { bytes } = results[tensor]
    return [ELEMENTS.indexOf(elements[index]), places.get(tensor)! - bytes.length, bytes.length / (elements[index] === 'f64' ? 8 : 4)]
  })
  return { words: joinWords(0, [], calls, found), end, entry: { name: it.name, outs, elements } }
}

/** Every model of the suite, in its order. */
export async function encodeStages(kernel: Kernel, abi: Abi): Promise<Encoded[]> {
  const encoded: Encoded[] = []
  for (const it of STAGE_CASES) encoded.push(await encodeStage(kernel, it, abi))
  return encoded
}
