/** How long the device's half of a step takes on devices that `kerf bench` has measured. */
import type { DeviceProfile } from '../model/profile.ts'
import { estimateSeconds } from '../model/profile.ts'
import type { ModelConfig } from '../model/config.ts'
import { formatColumns, shortenName } from '../text/columns.ts'
import type { SchemeForecast } from './forecast.ts'
import { formatBytes, formatNumber } from '../text/quantity.ts'

/** A profile and what people call it. */
export type Device = { name: string; profile: DeviceProfile }

/** Seconds of one step on the device of one client. */
export type StepSeconds = { client: number; cut: number; device: string; forward: number; backward: number }

/** A step of `rows` rows for each client: all on the one device, or client c on the c-th. */
export function estimateSteps({ clients }: SchemeForecast, devices: readonly Device[], rows: number): StepSeconds[] {
  const steps = clients.flatMap(({ cut, clients: group, device: work }) => group.map((client) => {
    const { name, profile } = devices[client % devices.length]
    return { client, cut, device: name, ...estimateSeconds(profile, work, rows) }
  }))
  return steps.sort((a, b) => a.client - b.client)
}

/** What makes an estimate doubtful: a profile of other widths, weights held in another format, a memory that the host does not give. */
export function doubtSeconds(
  { parties }: SchemeForecast, devices: readonly Device[], { hiddenSize, intermediateSize }: ModelConfig,
): string[] {
  const widths = devices.flatMap(({ name, profile: { step } }) => (
    step.hiddenSize === hiddenSize && step.intermediateSize === intermediateSize ? []
      : [`${name} was measured at width ${step.hiddenSize}, hidden ${step.intermediateSize}, not ${hiddenSize} and ${intermediateSize}.`]))
  const places = parties.flatMap(({ party, clients, memory, format }) => (party === 'server' ? [] : clients.flatMap((client) => {
    const { name, profile: { kernel: { dtype }, host: { memoryBytesMax } } } = devices[client % devices.length]
    const scarce = memory !== null && memoryBytesMax !== null && memory.bytes > memoryBytesMax
    return [
      ...(dtype === format ? [] : [`${name} was measured with weights in ${dtype}, not ${format}.`]),
      ...(scarce ? [`client ${client} needs ${formatBytes(memory.bytes)}, ${name} has at most ${formatBytes(memoryBytesMax)}.`] : []),
    ]
  })))
  return [...new Set([...widths, ...places])]
}

const NAME_MAX = 40

/** One line for all clients of one cut and device. Lines end in a newline. */
export function formatSteps(steps: readonly StepSeconds[], doubts: readonly string[]): string {
  const groups = new Map<string, StepSeconds[]>()
  for (const step of steps) {
    const key = JSON.stringify([step.cut, step.device])
    groups.set(key, [...(groups.get(key) ?? []), step])
  }
  const rows = [...groups.values()].map((group) => {
    const [{ cut, device, forward, backward }] = group
    const count = group.length > 1 ? ` x${group.length}` : ''
    return [`cut ${cut}${count}`, shortenName(device, NAME_MAX), ...[forward, backward, forward + backward].map(formatNumber)]
  })
  const table = formatColumns([['seconds', 'device', 'forward', 'backward', 'step'], ...rows], 2)
  return [...table, ...doubts, ''].join('\n')
}
