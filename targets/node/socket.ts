/** Node's network port: WebSockets, a frame in each binary message, kept by a thread of their own (io.ts). */
import { Worker } from 'node:worker_threads'
import type { Network } from '../../runtime/host/network.ts'
import type { FromSockets } from '../../runtime/network/message.ts'
import { NetworkPort } from '../../runtime/network/port.ts'
import { clock } from './clock.ts'
import { findAsset } from './host.ts'

type Open = { port: NetworkPort; worker: Worker }

let sockets: Open | undefined

function openSockets(): Open {
  if (sockets) return sockets
  const worker = new Worker(findAsset('io.js'))
  const port = new NetworkPort({ clock, post: (message, transfer) => worker.postMessage(message, transfer) })
  worker.on('message', (message: FromSockets) => port.take(message))
  worker.on('error', (error) => port.fail(error))
  worker.on('exit', () => port.fail(new Error('the thread of the sockets has ended')))
  return (sockets = { port, worker })
}

/** As NetworkPort.watch. */
export function watchSockets(): () => Promise<number> {
  return openSockets().port.watch()
}

/** Ends what this process has open; frames that were sent before are written first. */
export async function closeSockets(): Promise<void> {
  const open = sockets
  sockets = undefined
  if (!open) return
  await open.port.finish()
  open.worker.removeAllListeners()
  await open.worker.terminate()
}

export const network: Network = {
  listen: (options) => openSockets().port.listen(options),
  dial: (url, options) => openSockets().port.dial(url, options),
}
