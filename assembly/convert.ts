/**
 * Storage formats. f16: IEEE binary16, round to nearest even, overflow to infinity.
 * bf16: the upper half of an f32. int8: per row, x ≈ q·scale, scale = max|x| / 127.
 * Widening may be done in place with x at the upper end of out: each store stays
 * behind the next load.
 */

@inline function widenHalf(h: u32): f32 {
  // Shift into f32's place and multiply by 2¹¹²: exact for normal and subnormal alike.
  const magnitude = (h & 0x7FFF) << 13
  const value = reinterpret<f32>(magnitude) * reinterpret<f32>(0x77800000)
  const bits = reinterpret<u32>(value) | (magnitude >= 0x0F800000 ? 0x7F800000 : 0)
  return reinterpret<f32>(bits | ((h & 0x8000) << 16))
}

/** out [n] f32 = x [n] f16. */
export function widenF16(out: usize, x: usize, n: i32): void {
  for (const end = out + (usize(n) << 2); out < end; out += 4, x += 2) store<f32>(out, widenHalf(load<u16>(x)))
}

/** out [n] f16 = x [n] f32. */
export function narrowF16(out: usize, x: usize, n: i32): void {
  for (const end = x + (usize(n) << 2); x < end; x += 4, out += 2) {
    const bits = load<u32>(x)
    const sign = (bits >> 16) & 0x8000
    const magnitude = bits & 0x7FFFFFFF
    let half: u32
    if (magnitude > 0x7F800000) half = 0x7E00
    else if (magnitude >= 0x477FF000) half = 0x7C00
    else if (magnitude < 0x38800000) {
      // Adding 0.5 puts the rounded subnormal into the low bits.
      half = reinterpret<u32>(reinterpret<f32>(magnitude) + <f32>0.5) - 0x3F000000
    } else half = (magnitude + 0xC8000FFF + ((magnitude >> 13) & 1)) >> 13
    store<u16>(out, u16(sign | half))
  }
}

/** out [n] f32 = x [n] bf16. */
export function widenBF16(out: usize, x: usize, n: i32): void {
  for (const end = out + (usize(n) << 2); out < end; out += 4, x += 2) store<u32>(out, u32(load<u16>(x)) << 16)
}

/** out [N, C] i8 and scales [N] f32 from x [N, C]; round half to even; a row of zeros has scale 0. */
export function quantizeRows(out: usize, scales: usize, x: usize, N: i32, C: i32): void {
  for (let row = 0; row < N; row++, scales += 4) {
    let largest: f32 = 0
    for (let i = 0; i < C; i++) largest = max<f32>(largest, abs<f32>(load<f32>(x + (usize(i) << 2))))
    const step = largest / 127
    store<f32>(scales, step)
    for (let i = 0; i < C; i++, x += 4, out++) {
      const q = step > 0 ? nearest<f32>(load<f32>(x) / step) : 0
      store<i8>(out, i8(i32(min<f32>(max<f32>(q, -127), 127))))
    }
  }
}

/** out [N, C] f32 = x [N, C] i8 · scales [N]. */
export function dequantizeRows(out: usize, x: usize, scales: usize, N: i32, C: i32): void {
  for (let row = 0; row < N; row++, scales += 4) {
    const step = load<f32>(scales)
    for (let i = 0; i < C; i++, x++, out += 4) store<f32>(out, f32(load<i8>(x)) * step)
  }
}
