/** The page: starts a worker for the build in its address and hands every line back to the server that it came from. */
const build = new URLSearchParams(location.search).get('build')!
const lines: string[] = []

function report(): Promise<unknown> {
  return fetch('/report', { method: 'POST', body: lines.join('\n') })
}

const worker = new Worker('/drive.worker.js')
worker.onmessage = ({ data }: MessageEvent<{ line?: string; end?: boolean }>) => {
  if (data.line !== undefined) lines.push(data.line)
  if (data.end) void report()
}
worker.onerror = ({ message }) => {
  lines.push(`kerf-conform ${JSON.stringify({ kind: 'crash', error: `worker: ${message}` })}`)
  void report()
}
worker.postMessage({ build })
