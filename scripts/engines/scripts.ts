/** The engines that run the embedded script. */
import { duktape } from './duktape.ts'
import { hermes } from './hermes.ts'
import { quickjs, quickjsNg } from './quickjs.ts'
import type { ScriptHost } from './script.ts'

export const SCRIPT_HOSTS: readonly ScriptHost[] = [duktape, quickjs, quickjsNg, hermes]
