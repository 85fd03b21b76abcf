/** Where PyTorch is, if anywhere, and what multiplies its matrices. */
import { spawnSync } from 'node:child_process'

const PYTHONS = ['python3', '/usr/bin/python3']

/** The library that sgemm is resolved in, once a product has been computed. */
const PROBE = `
import numpy, torch
torch.zeros(8, 8) @ torch.zeros(8, 8)
maps = open('/proc/self/maps').read() if __import__('os').path.exists('/proc/self/maps') else ''
blas = next((name for name in ('openblas', 'mkl_rt', 'libblas') if name in maps), 'its own BLAS')
print(torch.__version__, blas)
`
const BLAS_TITLES: Readonly<Record<string, string>> = { openblas: 'OpenBLAS', mkl_rt: 'MKL', libblas: 'reference BLAS' }

export function openTorch(): { python: string; title: string } | { reason: string } {
  for (const python of PYTHONS) {
    const { status, stdout } = spawnSync(python, ['-c', PROBE], { encoding: 'utf8' })
    const [version, ...blas] = (stdout ?? '').trim().split(' ')
    if (status === 0) return { python, title: `PyTorch ${version} + ${BLAS_TITLES[blas.join(' ')] ?? blas.join(' ')}` }
  }
  return { reason: `${PYTHONS.join(' and ')} have no torch with numpy` }
}
