/**
 * How a frozen weight [O, I] is stored, and reading it as f32. The type of its elements names the format: f32; u16 an
 * IEEE binary16 that is finite; i8 with a scale of its own for each row of O, value = q·scale.
 */
export const FORMAT_F32: i32 = 0
export const FORMAT_F16: i32 = 1
export const FORMAT_I8: i32 = 2
/** f32 in the panels of this instance's tile, over the whole depth (packPanel): for forward products alone. */
export const FORMAT_PANELS: i32 = 3

// A half's exponent and fraction, shifted into f32's place, are 2¹¹² too small: exact for normal and subnormal alike.
const HALF_BIAS: u32 = 0x77800000

/** One element at address x. */
@inline export function readOne<T>(x: usize, scale: f32): f32 {
  if (sizeof<T>() == 1) return f32(load<i8>(x)) * scale
  if (sizeof<T>() == 2) {
    const h = u32(load<u16>(x))
    return reinterpret<f32>(reinterpret<u32>(reinterpret<f32>((h & 0x7FFF) << 13) * reinterpret<f32>(HALF_BIAS)) | ((h & 0x8000) << 16))
  }
  return load<f32>(x)
}

/** Four elements from address x on. */
@inline export function readFour<T>(x: usize, scale: v128): v128 {
  if (sizeof<T>() == 1) {
    return f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(x)))), scale)
  }
  if (sizeof<T>() == 2) {
    const h = v128.load_ext<u16>(x)
    const magnitude = f32x4.mul(i32x4.shl(v128.and(h, i32x4.splat(0x7FFF)), 13), i32x4.splat(HALF_BIAS))
    return v128.or(magnitude, i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16))
  }
  return v128.load(x)
}
