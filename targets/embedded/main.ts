/**
 * A device for engines that have neither WebAssembly nor promises nor modules: one script, ES5, which declares one variable.
 *
 *   var device = kerf.openDevice({ config, weights, sequences, labels, name })
 *   send each of device.begin(); for every frame that comes: send each of device.takeFrame(bytes)
 *
 * or, for the kernel alone, on memory of one's own:
 *
 *   var buffer = new ArrayBuffer(bytes), kernel = kerf.openKernel(buffer)     functions as runtime/kernel/abi.ts has them
 *
 * It is the device of runtime/split/device.ts and computes the same bits. Whatever it needs from outside is handed in; it knows no
 * timer, no console and no file. Everything is done when a call returns.
 */
export { openDevice } from './device.ts'
export { openKernel } from './kernel.ts'
