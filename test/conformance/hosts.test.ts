/** Every host that is here gives the published bits, in its SIMD build or the one that it has; `npm run conform` runs all builds. */
import { rmSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EXPECTED_PARTS, listHosts, openSuite, runRow } from '../../scripts/conform/row.ts'
import { skipTest } from '../skip.ts'

const suite = await openSuite()

test.after(() => rmSync(suite.scratch, { recursive: true, force: true }))

for (const host of await listHosts()) {
  const { name, builds, install } = host
  test(name, async () => {
    const found = host.find()
    if (!found) return skipTest(`no ${name}: ${install}`)
    const row = await runRow(host, found, builds.includes('simd') ? 'simd' : builds[0], suite)
    assert.is(row.differs, undefined)
    assert.equal([row.verdict, row.passed, row.digest], ['equal', row.cases, EXPECTED_PARTS[row.part].digest])
  })
}

test.run()
