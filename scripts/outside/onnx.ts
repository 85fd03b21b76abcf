/**
 * ONNX's backend tests on Kerf's kernel: the data inside the `onnx` package from PyPI, run on the scalar, SIMD and, where the
 * host has it, fast build, and held to the tolerance of ONNX's own backend tests.
 *
 *   node --import tsx scripts/outside/onnx.ts [--install] [--data DIR] [--write] [--list]
 *
 * Needs dist/ (npm run build). --install fetches the package with pip into build/outside, --data names a folder that holds
 * `node`, `simple`, … (onnx/backend/test/data), --write makes scripts/outside/README.md, --list prints every case. Exit 1
 * where a case failed.
 */
import { parseArgs } from 'node:util'
import { KerfError } from '../../runtime/error.ts'
import { BUILDS, missingRelaxed, openKernelBuild } from '../../test/kernels.ts'
import { DATA, findVersion, installPackage } from './install.ts'
import { listCases, tabulate, writePage } from './report.ts'
import { surveySuite } from './suite.ts'
import { openWorkspace } from './workspace.ts'

async function run(): Promise<void> {
  const { values: { install, data = DATA, write, list } } = parseArgs({
    options: { install: { type: 'boolean' }, data: { type: 'string' }, write: { type: 'boolean' }, list: { type: 'boolean' } },
  })
  if (install) installPackage()
  const missing = missingRelaxed()
  const builds = missing === undefined ? [...BUILDS, 'relaxed' as const] : BUILDS
  const workspaces = await Promise.all(builds.map(async (build) => openWorkspace(await openKernelBuild(build))))
  const survey = surveySuite(data, workspaces)
  if (list) console.log(listCases(survey))
  console.log(tabulate(survey))
  if (missing !== undefined) console.log(`fast build not run: ${missing}`)
  if (write) writePage(survey, { version: findVersion(data), missing })
  process.exitCode = survey.verdicts.some(({ kind }) => kind === 'failed') ? 1 : 0
}

try {
  await run()
} catch (error) {
  if (!(error instanceof KerfError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
