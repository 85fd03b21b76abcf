/** Order of the UTF-8 bytes, which is that of code points and the same on every host; `<` on strings would compare UTF-16 units. */
export function compareUtf8(a: string, b: string): number {
  const left = Array.from(a, (char) => char.codePointAt(0) ?? 0)
  const right = Array.from(b, (char) => char.codePointAt(0) ?? 0)
  const length = Math.min(left.length, right.length)
  for (let i = 0; i < length; i++) if (left[i] !== right[i]) return left[i] - right[i]
  return left.length - right.length
}
