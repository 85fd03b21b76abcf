/** The script that a host runs: the suite stands before it as SUITE. */
import type { Suite } from './simd.runner.ts'
import { runSuite } from './simd.runner.ts'

declare const SUITE: Suite
declare const print: ((line: string) => void) | undefined

const write = typeof print === 'function' ? print : (line: string) => console.log(line)
write(JSON.stringify(runSuite(SUITE)))
