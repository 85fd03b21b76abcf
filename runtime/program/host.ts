/** A host as this program needs it: its workers offer the program's own services. */
import type { Host } from '../host/host.ts'
import type { ThreadJob } from '../kernel/load.ts'
import type { Service } from './service.ts'

export type ProgramHost = Host<Service, ThreadJob>

export const VERSION = '0.1.0'
