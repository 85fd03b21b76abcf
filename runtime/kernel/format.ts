/** How a frozen weight lies in linear memory; `assembly/format.ts` reads it. */

/** f32 and f16 as IEEE has them; int8 with one f32 scale for each row (a linear layer's output channel, a token's embedding). */
export const WEIGHT_FORMATS = ['f32', 'f16', 'int8'] as const
export type WeightFormat = (typeof WEIGHT_FORMATS)[number]

/** The kernel's number of a format. */
export function formatCode(format: WeightFormat): number {
  return WEIGHT_FORMATS.indexOf(format)
}

/** The kernel's number of f32 that lies in panels; see `packPanel`. */
export const PANELS_CODE = 3

/** Bytes of one value. */
export function formatBytes(format: WeightFormat): number {
  return format === 'f32' ? 4 : format === 'f16' ? 2 : 1
}
