/** The one table: every operation's cases, for the oracle, for bit equality on every host, for guards and aliases. */
import { listActivation } from './activation.ts'
import { listAttention } from './attention.ts'
import { listBlock } from './block.ts'
import type { Case } from './case.ts'
import { listConvert } from './convert.ts'
import { listElementwise } from './elementwise.ts'
import { listEmbedding } from './embedding.ts'
import { listLinear } from './linear.ts'
import { listMatmul } from './matmul.ts'
import { listPeak } from './peak.ts'
import { listRows } from './rows.ts'
import { listUpdate } from './update.ts'

export const CASES: readonly Case[] = [
  ...listElementwise(), ...listMatmul(), ...listLinear(), ...listRows(), ...listActivation(), ...listAttention(), ...listEmbedding(), ...listUpdate(),
  ...listConvert(), ...listBlock(), ...listPeak(),
]
