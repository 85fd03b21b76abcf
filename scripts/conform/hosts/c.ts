/**
 * C, and no JavaScript at all: wasm2c makes C of the scalar build and of the tape's driver, a C compiler makes a program of
 * both. For x86-64 and, by a cross compiler and an emulator, for Arm. A compiler may fuse a product and a sum in C unless it
 * is told not to, and on Arm it does: -ffp-contract=off is what the strict profile asks of whoever compiles it so.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { askCommand, runCommand, versionIn } from '../command.ts'
import type { Found, Host, Suite } from '../host.ts'
import { digestsOf, prepareProgram } from '../interpreter.ts'
import type { Program } from '../interpreter.ts'
import { formatMessage } from '../protocol.ts'
import { readExpected } from '../published.ts'
import { ELEMENTS } from '../tape.ts'

const RUNTIME = '/usr/share/wabt/wasm2c'
const WITHOUT = 'simd, fast and threaded: wasm2c 1.0.32 knows none of them'
/** Without the second, GCC fuses on Arm: 385 of 1236 cases pass then. */
const STRICT = ['-O2', '-ffp-contract=off', '-w']
const ARM_ROOT = '/usr/aarch64-linux-gnu'

const MAIN = `/* Plays a tape on the kernel: PROGRAM TAPE ADDRESS PAGES [CASE OUT]. Digests of every result, or the bytes of one. */
#include <stdio.h>
#include <stdlib.h>
#include "kerf.h"
#include "driver.h"

static wasm_rt_memory_t memory;

wasm_rt_memory_t* Z_envZ_memory(struct Z_env_instance_t* env) {
  (void)env;
  return &memory;
}

int main(int argc, char** argv) {
  static Z_kerf_instance_t kerf;
  static Z_driver_instance_t driver;
  if (argc < 4) return 2;
  unsigned long at = strtoul(argv[2], 0, 10), pages = strtoul(argv[3], 0, 10);
  FILE* tape = fopen(argv[1], "rb");
  if (!tape) return 2;
  wasm_rt_init();
  wasm_rt_allocate_memory(&memory, pages, pages);
  if (fread(memory.data + at, 1, pages * 65536 - at, tape) == 0) return 2;
  Z_kerf_init_module();
  Z_kerf_instantiate(&kerf, 0);
  Z_driver_init_module();
  Z_driver_instantiate(&driver, 0, &kerf);
  if (argc == 6) {
    Z_driverZ_run(&driver, strtoul(argv[4], 0, 10));
    u32 out = strtoul(argv[5], 0, 10);
    if (Z_driverZ_outElement(&driver, out) == 7) {
      u64 bits = Z_driverZ_resultBits(&driver);
      for (int i = 0; i < 8; i++) printf("%02x", (unsigned)(bits >> 8 * i) & 255);
    } else for (u32 i = 0; i < Z_driverZ_outBytes(&driver, out); i++) printf("%02x", memory.data[Z_driverZ_outAddress(&driver, out) + i]);
    printf("\\n");
    return 0;
  }
  for (u32 i = 0; i < Z_driverZ_caseCount(&driver); i++) {
    Z_driverZ_run(&driver, i);
    for (u32 k = 0; k < Z_driverZ_outCount(&driver); k++) printf("%016llx ", (unsigned long long)Z_driverZ_outDigest(&driver, k));
    printf("\\n");
  }
  printf("total %016llx\\n", (unsigned long long)Z_driverZ_total(&driver));
  return 0;
}
`

async function compileProgram(suite: Suite, compiler: string, flags: readonly string[], name: string): Promise<{ program: Program; file: string }> {
  const folder = join(suite.scratch, name)
  mkdirSync(folder, { recursive: true })
  const program = await prepareProgram({ ...suite, scratch: folder }, 'scalar', true)
  for (const [binary, module] of [[program.kernel, 'kerf'], [program.driver, 'driver']] as const) {
    await runCommand({ file: 'wasm2c', args: [binary, '-o', join(folder, `${module}.c`), '-n', module] })
  }
  writeFileSync(join(folder, 'main.c'), MAIN)
  const file = join(folder, 'program')
  const sources = ['main.c', 'kerf.c', 'driver.c'].map((source) => join(folder, source))
  const args = [...STRICT, `-I${folder}`, ...flags, ...sources, `${RUNTIME}/wasm-rt-impl.c`, '-lm', '-o', file]
  await runCommand({ file: compiler, args })
  return { program, file }
}

async function playTape({ program, file }: { program: Program; file: string }, emulator: readonly string[]): Promise<string[]> {
  const start = performance.now()
  const [command, ...args] = [...emulator, file, program.tapeFile, String(program.tapeAt), String(program.pages)]
  const printed = await runCommand({ file: command, args })
  const ms = performance.now() - start
  const expected = readExpected()
  const lines: string[] = []
  let passed = 0
  for (const [index, it] of program.entries.entries()) {
    const wanted = digestsOf(it, expected), got = printed[index].trim().split(' ').filter((digest) => digest !== '')
    const out = wanted.findIndex((digest, k) => digest !== got[k])
    if (out < 0 && got.length === wanted.length) passed += 1
    else {
      const [hex] = lines.length === 0 ? await runCommand({ file: command, args: [...args, String(index), String(out)] }) : [undefined]
      const digests = { expected: wanted[out], got: got[out] ?? 'none' }
      lines.push(formatMessage({ kind: 'failure', case: it.name, tensor: it.outs[out], element: it.elements[out], ...digests, ...(hex && { hex }) }))
    }
  }
  const digest = printed.find((line) => line.startsWith('total '))!.slice(6)
  return [...lines, formatMessage({ kind: 'score', part: 'kernel and models', cases: program.entries.length, passed, digest, ms })]
}

function findCompiler(compiler: string, needed: readonly string[]): Found | undefined {
  const version = askCommand(compiler, ['-dumpfullversion']), wasm2c = askCommand('wasm2c', ['--version'])
  if (version === undefined || wasm2c === undefined || needed.some((path) => !existsSync(path))) return undefined
  return { version: versionIn(version), engine: `wasm2c ${versionIn(wasm2c)}, gcc` }
}

if (ELEMENTS.indexOf('result') !== 7) throw new Error('tape: expected the result to be element 7')

export const HOSTS: readonly Host[] = [
  {
    name: 'C', builds: ['scalar'], tape: true, without: WITHOUT, install: 'Debian packages wabt, gcc and libc6-dev', debian: ['wabt', 'gcc', 'libc6-dev'],
    find: () => findCompiler('gcc', [RUNTIME]),
    run: async (suite) => playTape(await compileProgram(suite, 'gcc', [], 'c'), []),
  },
  {
    name: 'C on Arm', builds: ['scalar'], tape: true, without: WITHOUT,
    install: 'Debian packages wabt, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user',
    debian: ['wabt', 'gcc-aarch64-linux-gnu', 'libc6-dev-arm64-cross', 'qemu-user'],
    find() {
      const found = findCompiler('aarch64-linux-gnu-gcc', [RUNTIME, ARM_ROOT])
      const emulator = askCommand('qemu-aarch64', ['--version'])
      return found && emulator === undefined ? undefined : found && { ...found, engine: `${found.engine}, aarch64 by QEMU ${versionIn(emulator!)}` }
    },
    run: async (suite) => playTape(await compileProgram(suite, 'aarch64-linux-gnu-gcc', ['-I/usr/include'], 'arm'), ['qemu-aarch64', '-L', ARM_ROOT]),
  },
]
