/**
 * Where wasm2js and a small engine could part from WebAssembly, as one ES5 function that runs in both: calls of the kernel on inputs
 * from counters, each with a line of what came out. The same lines mean the same bits.
 */

/** `function (kernel, buffer, print)`; the buffer has PROBE_BYTES. */
export const PROBE_BYTES = 1 << 20

export const PROBE = `function (kernel, buffer, print) {
  var bytes = new Uint8Array(buffer), words = new Uint32Array(buffer), floats = new Float32Array(buffer)
  var TABLE = 64, IN = 8192, OUT = 262144, SCRATCH = 786432
  kernel.crc32cTable(TABLE)

  /** A 32-bit hash of a counter, in 16-bit products that every double holds. */
  function hash(counter) {
    var h = (counter + 0x9e37) >>> 0
    for (var round = 0; round < 3; round++) {
      var low = (h & 0xffff) * 0x85eb, high = ((h >>> 16) * 0x85eb + (low >>> 16)) & 0xffff
      h = ((high << 16 | low & 0xffff) ^ (h >>> 13) ^ (h << 7)) >>> 0
    }
    return h
  }
  function hex(number) { return ('0000000' + (number >>> 0).toString(16)).slice(-8) }
  function report(what, from, count) { print(what + ' ' + hex(kernel.crc32c(TABLE, from, count, 0))) }
  var cell = new DataView(new ArrayBuffer(8))
  /** Which NaN it is differs between processors already. */
  function bitsOf(number) {
    cell.setFloat64(0, number)
    return number !== number ? 'NaN' : hex(cell.getUint32(0)) + hex(cell.getUint32(4))
  }
  /** A double whose last bits an f32 has not. */
  function uneven(counter, span) { return (hash(counter) / 4294967296 - 0.5) * 2 * span + hash(counter + 7777) / 18446744073709551616 }

  /* Results by their bits, and arguments that must be rounded to f32 on their way in. */
  var NAMES = ['exp32', 'erf32', 'tanh32', 'exp64', 'log64']
  for (var at = 0; at < NAMES.length; at++) {
    var line = NAMES[at]
    for (var counter = 0; counter < 60; counter++) {
      var x = uneven(counter, counter % 3 === 0 ? 90 : 3)
      line += ' ' + bitsOf(kernel[NAMES[at]](NAMES[at] === 'log64' ? Math.abs(x) + 1e-9 : x))
    }
    print(line)
  }
  print('limits ' + bitsOf(kernel.exp32(-1e9)) + bitsOf(kernel.exp32(1e9)) + bitsOf(kernel.tanh32(-0)) + bitsOf(kernel.exp64(-700)))

  /** f32 of every magnitude, subnormal and negative zero among them; no NaN and no infinity. */
  function drawFloats(from, count, seed) {
    for (var at = 0; at < count; at++) {
      var word = hash(seed + at)
      if (at % 11 === 0) word &= 0x807fffff
      if (at % 97 === 0) word = 0x80000000
      if ((word & 0x7f800000) === 0x7f800000) word &= 0xbfffffff
      words[(from >> 2) + at] = word
    }
  }
  function drawMild(from, count, seed) { for (var at = 0; at < count; at++) floats[(from >> 2) + at] = uneven(seed + at, 4) }

  /* Rounding to f32 after each operation, subnormals and signed zeros. */
  drawFloats(IN, 4000, 1); drawFloats(OUT, 4000, 9000)
  kernel.addTo(OUT, IN, OUT, 4000); report('addTo', OUT, 16000)
  kernel.scale(OUT, IN, 0.1, 4000); report('scale', OUT, 16000)
  kernel.scale(OUT, IN, 1e-40, 4000); report('scale small', OUT, 16000)
  kernel.fill(OUT, 0.1, 33); report('fill', OUT, 132)
  print('countNonFinite ' + kernel.countNonFinite(OUT, 33))
  words[IN >> 2] = 0x7f800001; words[(IN >> 2) + 5] = 0xffc12345; words[(IN >> 2) + 9] = 0xff800000
  print('countNonFinite ' + kernel.countNonFinite(IN, 4000))
  drawMild(IN, 1500, 3)
  print('sumRow ' + bitsOf(kernel.sumRow(IN, 1499)) + ' dotRow ' + bitsOf(kernel.dotRow(IN, IN + 4, 1499)))

  /* The optimiser: eight f32 arguments, division and root. */
  drawMild(IN, 1000, 5); drawMild(IN + 4000, 1000, 6); drawMild(IN + 12000, 1000, 8)
  for (var v = 0; v < 1000; v++) floats[(IN + 8000 >> 2) + v] = Math.abs(uneven(v, 1))
  kernel.adamw(IN, IN + 4000, IN + 8000, IN + 12000, 1000,
    1 - 1e-3 * 0.01, 0.9, 1 - 0.9, 0.999, 1 - 0.999, 0.001 / (1 - 0.9), Math.sqrt(1 - 0.999), 1e-8)
  report('adamw', IN, 12000)

  /* Nearest with ties, min and max, saturating conversion. */
  for (var q = 0; q < 2560; q++) floats[(IN >> 2) + q] = q % 16 === 0 ? 127 * (1 << (q >> 8)) : (q % 255 - 127) * 0.5 * (1 << (q >> 8))
  kernel.quantizeRows(OUT, OUT + 4096, IN, 160, 16); report('quantizeRows', OUT, 2560); report('scales', OUT + 4096, 640)
  drawFloats(IN, 2048, 17); floats[IN >> 2] = 0
  kernel.quantizeRows(OUT, OUT + 4096, IN, 32, 64); report('quantizeRows wide', OUT, 2048)
  kernel.dequantizeRows(IN, OUT, OUT + 4096, 32, 64); report('dequantizeRows', IN, 8192)

  /* Halves: bits moved between integers and floats. All that are finite, and infinities. */
  var halves = new Uint16Array(buffer), count = 0
  for (var half = 0; half < 65536; half += 3) if ((half & 0x7c00) !== 0x7c00 || (half & 0x3ff) === 0) halves[(IN >> 1) + count++] = half
  kernel.widenF16(OUT, IN, count); report('widenF16', OUT, 4 * count)
  kernel.narrowF16(IN, OUT, count); report('narrowF16', IN, 2 * count)
  drawFloats(OUT, 4096, 23); for (var m = 0; m < 4096; m++) words[(OUT >> 2) + m] = (words[(OUT >> 2) + m] & 0x87ffffff) + 0x34000000
  kernel.narrowF16(IN, OUT, 4096); report('narrowF16 rounded', IN, 8192)
  kernel.widenBF16(OUT, IN, 4096); report('widenBF16', OUT, 16384)

  /* memory.copy and memory.fill, whole rows and none. */
  drawFloats(IN, 640, 31); words[OUT >> 2] = 3; words[(OUT >> 2) + 1] = 0; words[(OUT >> 2) + 2] = 9
  kernel.gatherRows(OUT + 64, IN, OUT, 3, 61); report('gatherRows', OUT + 64, 732)
  kernel.broadcastRow(OUT, IN, 5, 7); report('broadcastRow', OUT, 140)

  /* f64: sums of an average, at multiples of eight. */
  for (var zero = 0; zero < 512; zero++) words[(OUT >> 2) + zero] = 0
  drawMild(IN, 256, 41)
  kernel.averageAdd(OUT, IN, 3, 256); kernel.averageAdd(OUT, IN + 4, 0.1, 255)
  kernel.averageFinish(IN, OUT, 3.1, 256); report('average', IN, 1024)

  /* Words at odd addresses. */
  for (var b = 0; b < 64; b++) bytes[IN + b] = hash(b)
  for (var shift = 0; shift < 5; shift++) for (var n = 0; n < 9; n += 2) report('crc32c ' + shift + ' ' + n, IN + shift, n)

  /* Products, softmax and gelu, with their own tables in scratch. */
  drawMild(IN, 700, 51); drawMild(IN + 4096, 700, 52)
  kernel.matmul(OUT, IN, IN + 4096, 7, 9, 19, 0, SCRATCH); report('matmul', OUT, 252)
  kernel.matmulBackwardInput(OUT, IN, IN + 4096, 7, 9, 19, 0, SCRATCH); report('matmulBackwardInput', OUT, 532)
  kernel.matmulBackwardWeight(OUT, IN, IN + 4096, 7, 9, 19, 0, SCRATCH); report('matmulBackwardWeight', OUT, 684)
  for (var wide = 0; wide < 300; wide++) floats[(IN >> 2) + wide] = uneven(wide, 12)
  kernel.gelu(OUT, IN, 300, SCRATCH); report('gelu', OUT, 1200)
  kernel.softmax(OUT, IN, 20, 15, SCRATCH); report('softmax', OUT, 1200)
  print('productScratchBytes ' + kernel.productScratchBytes(1000) + ' attentionScratchBytes ' + kernel.attentionScratchBytes(128, 64))
}`

type Probe = (kernel: unknown, buffer: ArrayBufferLike, print: (line: string) => void) => void

/** What the probe prints, run here. */
export function probe(kernel: unknown, buffer: ArrayBufferLike): string[] {
  const lines: string[] = []
  const run = new Function(`return ${PROBE}`)() as Probe
  run(kernel, buffer, (line) => { lines.push(line) })
  return lines
}

/** The script and the probe after it, for an engine. */
export function probeScript(script: string): string {
  return `${script}\nvar buffer = new ArrayBuffer(${PROBE_BYTES})\n;(${PROBE})(kerf.openKernel(buffer), buffer, print)\n`
}
