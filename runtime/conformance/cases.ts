/** The one table: every operation's cases, for the oracle, for bit equality on every host, for guards and aliases. */
import { ACTIVATION } from './cases.activation.ts'
import { ATTENTION } from './cases.attention.ts'
import { BLOCK } from './cases.block.ts'
import { CONVERT } from './cases.convert.ts'
import { ELEMENTWISE } from './cases.elementwise.ts'
import { EMBEDDING } from './cases.embedding.ts'
import { LINEAR } from './cases.linear.ts'
import { MATMUL } from './cases.matmul.ts'
import { PEAK } from './cases.peak.ts'
import { ROWS } from './cases.rows.ts'
import { UPDATE } from './cases.update.ts'
import type { Case } from './case.ts'

export const CASES: readonly Case[] = [
  ...ELEMENTWISE, ...MATMUL, ...LINEAR, ...ROWS, ...ACTIVATION, ...ATTENTION, ...EMBEDDING, ...UPDATE, ...CONVERT, ...BLOCK, ...PEAK,
]
