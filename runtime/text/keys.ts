/** Keys of JSON objects, which JSON.parse takes more than once and keeps the last of in silence. */

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]/g

/** The first key that an object of `json` has twice, however it is nested or escaped; null where none has. `json` is valid JSON. */
export function findRepeatedKey(json: string): string | null {
  /** Keys of each object that is open; null for a list. */
  const open: (Set<string> | null)[] = []
  let last = ''
  for (const [token] of json.matchAll(TOKEN)) {
    if (token === '{' || token === '[') open.push(token === '{' ? new Set() : null)
    else if (token === '}' || token === ']') open.pop()
    else if (token === ':') {
      const keys = open.at(-1)
      const key = JSON.parse(last) as string
      if (keys?.has(key)) return key
      keys?.add(key)
    } else if (token !== ',') last = token
  }
  return null
}
