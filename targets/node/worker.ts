/** A worker thread: offers the program's services over comlink, frames over a port of their own. */
import type { MessagePort } from 'node:worker_threads'
import { parentPort, workerData } from 'node:worker_threads'
import * as Comlink from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import { createService } from '../../runtime/program/worker.ts'
import { createHost, linkPort } from './host.ts'

Comlink.expose(createService(createHost(), linkPort(workerData as MessagePort)), nodeEndpoint(parentPort!))
