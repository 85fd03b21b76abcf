/** Cases of assembly/peak.ts: the additions that it counts, none of which may be missing. */
import type { Case } from './case.ts'
import { kernelCase } from './case.ts'

const ADDITIONS = 1792

export const listPeak = (): Case[] => [0, 1, 7, 5461].map((iterations) => kernelCase({
  operation: 'peak', sizes: `iterations=${iterations}`, tolerance: 0, slots: {},
  call: (kernel) => kernel.peak(iterations),
  expect: () => ({ result: [Math.fround(ADDITIONS * iterations)] }),
}))
