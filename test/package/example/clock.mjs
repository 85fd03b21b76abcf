/** A clock of what Node, Deno, Bun and browsers have in common; a message channel gives a turn where a timer would wait. */

/** @type {import('kerf/device').Clock} */
export const clock = {
  now: () => performance.timeOrigin + performance.now(),
  turn: () => new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  }),
  after(ms, done) {
    const timer = setTimeout(done, ms)
    return () => clearTimeout(timer)
  },
}
