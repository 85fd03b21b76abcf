/**
 * Every exported operation through the table: scalar against the float64 oracle, the
 * other builds against scalar to the bit, and allowed aliases against none.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TILES } from '../../runtime/kernel/load.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'
import type { Case } from '../../runtime/cases/case.ts'
import { nameCase } from '../../runtime/cases/case.ts'
import { listTailCube } from '../../runtime/cases/matmul.ts'
import { CASES } from '../../runtime/cases/table.ts'
import { MULTIPLIES, checkOracle, openArena, runCase, sameBytes } from './arena.ts'
import type { Arena, Outcome } from './arena.ts'

const arenas = await Promise.all(BUILDS.map((build) => openArena(build)))
const tiled = await Promise.all(TILES.slice(1).map((tile) => openArena('simd', tile)))
const ALL = [...CASES, ...listTailCube()]
const operations = [...new Set(CASES.map(({ operation }) => operation))]

function checkBits(it: Case, actual: Outcome, expected: Outcome, what: string): void {
  assert.ok(Object.is(actual.result, expected.result), `${nameCase(it)}: expected ${what} to return ${expected.result}, got ${actual.result}`)
  for (const [tensor, bytes] of expected.bytes) {
    assert.ok(sameBytes(actual.bytes.get(tensor)!, bytes), `${nameCase(it)}: expected ${what} to give the same bits in ${tensor}`)
  }
}

function checkAliases(arena: Arena, it: Case, plain: Outcome): void {
  for (const alias of it.aliases ?? []) checkBits(it, runCase(arena, it, alias), plain, `${arena.build} with ${alias[0]} = ${alias[1]}`)
}

for (const operation of operations) {
  test(operation, () => {
    for (const it of ALL) {
      if (it.operation !== operation) continue
      const [scalar, ...others] = arenas
      const plain = runCase(scalar, it)
      checkOracle(it, plain)
      checkAliases(scalar, it, plain)
      for (const arena of others) {
        checkBits(it, runCase(arena, it), plain, arena.build)
        checkAliases(arena, it, plain)
      }
      if (!MULTIPLIES.test(operation)) continue
      tiled.forEach((arena, index) => checkBits(it, runCase(arena, it), plain, `tile ${TILES[index + 1]}`))
    }
  })
}

/** Sizes of scratch are tested by every case that is given no more than they say (and in plan.test.ts). */
const OTHERS = /^(memory|abiVersion|\w+ScratchBytes|tileCount|setTile|tileColumns|packPanel|teamBytes|joinTeam|work|dismissTeam)$/
const isOperation = (exported: string) => !OTHERS.test(exported)

test('every exported operation has its cases', async () => {
  for (const build of BUILDS) {
    const { module } = await openKernelBuild(build)
    const exported = WebAssembly.Module.exports(module).map(({ name }) => name).filter(isOperation)
    assert.equal([...operations].sort(), exported.sort(), build)
  }
})

test.run()
