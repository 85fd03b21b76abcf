/** The one table: every operation's cases, for the oracle, for bit equality on every host, for guards and aliases. */
import { ACTIVATION } from './activation.ts'
import { ATTENTION } from './attention.ts'
import { BLOCK } from './block.ts'
import { CONVERT } from './convert.ts'
import { ELEMENTWISE } from './elementwise.ts'
import { EMBEDDING } from './embedding.ts'
import { LINEAR } from './linear.ts'
import { MATMUL } from './matmul.ts'
import { PEAK } from './peak.ts'
import { ROWS } from './rows.ts'
import { UPDATE } from './update.ts'
import type { Case } from './case.ts'

export const CASES: readonly Case[] = [
  ...ELEMENTWISE, ...MATMUL, ...LINEAR, ...ROWS, ...ACTIVATION, ...ATTENTION, ...EMBEDDING, ...UPDATE, ...CONVERT, ...BLOCK, ...PEAK,
]
