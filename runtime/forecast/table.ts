/** A forecast as tables of at most 110 columns, plain ASCII. */
import { schemeOf } from '../split/scheme.ts'
import { formatColumns } from '../text/columns.ts'
import type { ClientForecast, PartyForecast, SchemeForecast } from './forecast.ts'
import { formatBytes, formatCount, formatNumber } from '../text/quantity.ts'

const ABSENT = '-'

/** A whole number in groups of three, parted by plain spaces. */
function formatExact(count: number | null): string {
  return count === null ? ABSENT : formatCount(count).replaceAll('\u202f', ' ')
}

function formatWork({ forward, backward }: { forward: number; backward: number }): string {
  const total = forward + backward
  return total >= 1e9 ? `${formatNumber(total / 1e9)} G` : `${formatNumber(total / 1e6)} M`
}

function nameParty({ party, from, to, format, recompute, clients, shared }: PartyForecast): string {
  const count = clients.length > 1 && !shared ? ` x${clients.length}` : ''
  const how = [format === 'f32' ? '' : format, recompute ? 'recompute' : ''].filter((word) => word !== '').join(' ')
  return `${party} ${from}-${to}${count}${how && ` (${how})`}`
}

function partyRow(party: PartyForecast): string[] {
  const { memory } = party
  if (!memory) return [nameParty(party), 'over 4 GiB']
  const { weights, sets, gradients, activations, batch, scratch, records, alignment, unused, bytes } = memory
  const parts = [weights, sets, gradients, activations, batch, scratch, records + alignment + unused]
  return [nameParty(party), ...parts.map(formatBytes), formatExact(bytes)]
}

function clientRow({ cut, clients, link, device, server }: ClientForecast): string[] {
  const frames = [link.activationUp, link.gradientDown, link.adapterUp, link.adapterDown, link.stateUp]
  const name = `cut ${cut}${clients.length > 1 ? ` x${clients.length}` : ''}`
  return [name, ...frames.map(formatExact), formatWork(device), formatWork(server)]
}

function describeGrowth({ scheme, growth, serverBytes }: SchemeForecast): string[] {
  if (serverBytes === 0) return []
  const total = `Server in all: ${serverBytes === null ? 'over 4 GiB' : `${formatExact(serverBytes)} bytes`}.`
  if (growth.every(({ bytes }) => bytes === 0)) return [total, 'One more device adds nothing to it.']
  const what = schemeOf({ scheme }).models === 'each' ? 'a model of its own' : 'an adapter set with its moments'
  return [total, `One more device adds ${what}:`, ...growth.map(({ cut, bytes }) => `  at cut ${cut}: ${formatExact(bytes)} bytes`)]
}

/** One scheme: memory by party and purpose, how the server grows, frames and work by cut. Lines end in a newline. */
export function formatForecast(forecast: SchemeForecast): string {
  const memory = formatColumns([
    ['blocks', 'weights', 'adapters', 'gradients', 'activations', 'batch', 'scratch', 'rest', 'total bytes'],
    ...forecast.parties.map(partyRow),
  ])
  const clients = formatColumns([
    ['bytes', 'activation up', 'gradient down', 'adapter up', 'adapter down', 'state up', 'device work', 'server work'],
    ...forecast.clients.map(clientRow),
  ])
  const title = `${forecast.scheme}: ${schemeOf(forecast).title}`
  return [title, '', ...memory, ...describeGrowth(forecast), '', ...clients, ...forecast.notes, ''].join('\n')
}

/** What the columns mean, once for all schemes. */
export const FORECAST_LEGEND = [
  'Adapters: with their moments. Rest: records, alignment and the last page. Activation and gradient: each step;',
  'adapters: each aggregation; state: each checkpoint. Work: multiply-adds of a step, forward and backward.',
  '',
].join('\n')
