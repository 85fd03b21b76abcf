/** QuickJS and its fork QuickJS-NG, each as a WebAssembly module in this process: an engine without WebAssembly inside one with it. */
import { newQuickJSWASMModuleFromVariant } from 'quickjs-emscripten-core'
import type { FoundHost, Ran, ScriptHost } from './script.ts'

type Variant = Parameters<typeof newQuickJSWASMModuleFromVariant>[0]
type Memory = { memory_used_size: number }

async function run(variant: Variant, script: string): Promise<Ran> {
  const start = performance.now()
  const engine = await newQuickJSWASMModuleFromVariant(variant)
  const context = engine.newContext()
  try {
    const lines: string[] = []
    const print = context.newFunction('print', (text) => { lines.push(context.getString(text)) })
    context.setProp(context.global, 'print', print)
    print.dispose()
    const result = context.evalCode(script, 'script.js')
    if (result.error) {
      const error: unknown = context.dump(result.error)
      result.error.dispose()
      throw new Error(`QuickJS: ${typeof error === 'object' ? JSON.stringify(error) : String(error)}`)
    }
    result.value.dispose()
    const usage = context.runtime.computeMemoryUsage()
    const { memory_used_size: heapBytes } = context.dump(usage) as Memory
    usage.dispose()
    return { lines, seconds: (performance.now() - start) / 1000, heapBytes }
  } finally {
    context.dispose()
  }
}

function hostOf(name: string, packageName: string, version: string, open: () => Variant): ScriptHost {
  return {
    name,
    installedBy: `npm ci (${packageName})`,
    find: (): FoundHost => ({ version, run: (script) => run(open(), script) }),
  }
}

/** Neither engine tells its release to a script: as the packages' pages have it. */
export const quickjs = hostOf('QuickJS', '@jitl/quickjs-wasmfile-release-sync', '2025-09-13+f1139494',
  () => import('@jitl/quickjs-wasmfile-release-sync'))
export const quickjsNg = hostOf('QuickJS-NG', '@jitl/quickjs-ng-wasmfile-release-sync', '0.12.1',
  () => import('@jitl/quickjs-ng-wasmfile-release-sync'))
