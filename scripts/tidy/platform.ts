/** What only some hosts have comes into runtime/ through a port: clock, timers, network, workers, entropy, terminal, files. */
import { lineAt } from './scan.ts'
import type { Masked } from './scan.ts'
import type { Violation } from './violation.ts'

const NAMES = [
  'process', 'Buffer', 'Deno', 'Bun', 'require(?=\\s*\\()', '__dirname', '__filename',
  'window', 'document', 'navigator', 'localStorage', 'sessionStorage', 'indexedDB', 'console', 'crypto',
  'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'clearTimeout', 'clearInterval', 'clearImmediate',
  'fetch', 'XMLHttpRequest', 'WebSocket', 'Worker', 'SharedWorker',
]
const GLOBAL = 'globalThis\\s*(?:\\?\\.|\\.)\\s*'
/**
 * A name as a value, the global object as a whole, the module's own address. A spread is no property and a
 * ternary's first end no key.
 */
const PLATFORM = new RegExp(
  `(?<![\\w$]|(?<!\\.\\.)\\.\\s*)(?:${GLOBAL})?(${NAMES.join('|')})(?![\\w$])(?!(?<!\\?\\s*\\w+)\\s*\\??:)`
  + `|(?<![\\w$.])globalThis\\b(?!\\s*(?:\\?\\.|\\.))|\\bimport\\s*\\.\\s*meta\\b`, 'g')

/** A member that has such a name: `fetch(url: string): Promise<void>`, or the same with a body. */
function isMember(bare: string, { index, 0: name }: RegExpExecArray): boolean {
  const begins = /(?:[{};,]|\n)\s*(?:async\s+)?$/.test(bare.slice(0, index))
  return begins && /^\s*\((?:[^()]|\([^()]*\))*\)\s*[:{]/.test(bare.slice(index + name.length))
}

/** Whether the file has a thing of its own by this name, such as a flow-control `window`: declared, imported or handed in. */
function isOwn(bare: string, name: string): boolean {
  return new RegExp([
    `\\b(?:const|let|var|function|class|type|interface)\\s+${name}\\b`,
    `\\bimport\\b[^'"]*\\b${name}\\b[^'"]*\\bfrom\\b`,
    `\\((?:[^(){}]*,)?\\s*${name}\\s*(?:\\??:|(?:,[^(){}]*)?\\)\\s*=>)`,
    `\\{[^{}]*\\b${name}\\b[^{}]*\\}\\s*(?::|=(?!=)|\\)\\s*=>)`,
  ].join('|')).test(bare)
}

export function checkPlatform(file: string, { bare }: Masked): Violation[] {
  const found = [...bare.matchAll(PLATFORM)].filter((match) => {
    const name = match[1] ?? match[0]
    return match[0].startsWith('globalThis') || !/^\w+$/.test(name) || !(isOwn(bare, name) || isMember(bare, match))
  })
  return found.map((match) => (
    { file, line: lineAt(bare, match.index), rule: 'platform', expected: 'a function handed in by the host', got: match[0] }))
}
