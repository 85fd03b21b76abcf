/**
 * The part of the table that a kernel runs when it is opened for a run: each operation that a step uses, on sizes with vectors
 * and tails. It takes some milliseconds, and tells an engine that computes other bits by the first case in which it does.
 */
import { refuse } from '../error.ts'
import type { Kernel, SelfTest } from '../kernel/load.ts'
import { PAGE_BYTES, createMemory, instantiate, profileOf } from '../kernel/load.ts'
import { activationCases, logarithmCase, pointCases } from './activation.ts'
import { bytesOfCase } from './arena.ts'
import { attentionCases } from './attention.ts'
import { BLOCK_SIZES, backwardCase, forwardCase } from './block.ts'
import type { Case } from './case.ts'
import { nameCase } from './case.ts'
import { byteCases, checksumCase, halfCases } from './convert.ts'
import { gatherCases, reductionCases, rowCases, vectorCases } from './elementwise.ts'
import { embeddingCase } from './embedding.ts'
import { frozenCases } from './linear.ts'
import { productCases } from './matmul.ts'
import { lossCases, normCases, softmaxCase } from './rows.ts'
import { runKernelCase } from './run.ts'
import { addDigest, createDigest } from './digest.ts'
import { SELF_TEST_DIGEST, SELF_TEST_DIGESTS } from './selftest.digests.ts'
import { drawBehindZeros } from './source.ts'
import { digestResults } from './tally.ts'
import { adamwCase, averageCases } from './update.ts'

/** All are in the table under the same names. */
export function listSelfTest(): Case[] {
  const [, , , block] = BLOCK_SIZES
  return [
    ...vectorCases(67), ...reductionCases(1021), ...rowCases(7, 13), ...gatherCases(5, 3, 7),
    ...productCases({ N: 5, O: 17, I: 17, accumulate: 1 }), ...frozenCases({ N: 6, I: 33, O: 17, R: 0, bias: true, format: 'f16' }),
    ...frozenCases({ N: 3, I: 7, O: 5, R: 2, bias: true, format: 'int8' }), ...normCases(3, 67).slice(0, 2), softmaxCase(5, 8, 20), softmaxCase(3, 7, 2),
    ...lossCases(5, 2, 10), ...pointCases(-1.25), logarithmCase(1.5), ...activationCases(67), ...attentionCases({ lengths: [5, 1, 7], H: 3, D: 5, T: 7 }),
    embeddingCase({ lengths: [2, 7, 4], V: 11, C: 13, typed: true }), embeddingCase({ lengths: [3, 0, 4], V: 11, C: 13, typed: true, format: 'int8' }),
    adamwCase(67, 7, 0.1), ...averageCases(67), ...halfCases(67), ...byteCases(7, 13, drawBehindZeros(7 * 13, 'x', 3, 13)), checksumCase(67),
    forwardCase(block), backwardCase(block, 'adapters', true),
  ]
}

export function isSelfTestCase(name: string): boolean {
  return listSelfTest().some((it) => nameCase(it) === name)
}

/** Of each case a digest over those of its tensors, and one over all; `damaged`: the cases that wrote where nothing should be. */
export type SelfTestDigests = { digest: string; digests: readonly string[]; damaged: readonly boolean[] }

export async function digestSelfTest({ module, exports, tile }: Kernel): Promise<SelfTestDigests> {
  const cases = listSelfTest()
  const bytes = cases.reduce((most, it) => Math.max(most, bytesOfCase(exports, it)), 0)
  const memory = createMemory(Math.ceil(bytes / PAGE_BYTES), false)
  const arena = { kernel: await instantiate(module, memory, tile), buffer: memory.buffer }
  const all = createDigest()
  const digests: string[] = [], damaged: boolean[] = []
  for (const it of cases) {
    const { results, damage } = runKernelCase(arena, it)
    const one = createDigest()
    const tensors = digestResults(results)
    for (const name of Object.keys(tensors)) addDigest(one, tensors[name])
    const digest = one.finish(8 * Object.keys(tensors).length)
    addDigest(all, digest)
    digests.push(digest)
    damaged.push(damage !== null)
  }
  return { digest: all.finish(8 * digests.length), digests, damaged }
}

/** The kernel with what it computes; as it is where it promises no bits (the fast profile). */
export async function testKernel(kernel: Kernel): Promise<Kernel> {
  if (profileOf(kernel.build) !== 'strict') return kernel
  const { digest, digests, damaged } = await digestSelfTest(kernel)
  const first = digests.findIndex((one, index) => one !== SELF_TEST_DIGESTS[index] || damaged[index])
  return { ...kernel, selfTest: { digest, differs: first < 0 ? null : nameCase(listSelfTest()[first]) } }
}

/** In words, where a self-test found other bits than every strict kernel has; null where not. */
export function describeOtherBits({ digest, differs }: SelfTest): string | null {
  return digest === SELF_TEST_DIGEST && differs === null ? null : `${digest}${differs === null ? '' : `, otherwise in ${differs}`}`
}

/** Refuses `kernel-bits` for a strict kernel that computes other bits here than it should: an engine's fault, or another binary. */
export function expectSameBits({ build, selfTest }: Kernel): void {
  const other = selfTest && describeOtherBits(selfTest)
  if (other) refuse('kernel-bits', `kernel.${build}`, `bits of digest ${SELF_TEST_DIGEST}, as on every host`, other)
}
