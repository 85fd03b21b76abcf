/** What JSON can hold in the place of something else. */
export const STRANGE: readonly unknown[] = [
  null, {}, [], '', 'x', '__proto__', -1, 0.5, 1e300, true, [null], [[]], [{}], ['__proto__'], { toString: null, valueOf: null }, { length: 3 },
]
