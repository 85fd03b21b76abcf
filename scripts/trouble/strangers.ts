/** Strangers at a server's port. */
import { connect } from 'node:net'

const AT_ONCE = 50
const STAY_MS = 200

/** Calls `act` `count` times, so many at once. */
export async function flood(count: number, act: (index: number) => Promise<void>, atOnce = AT_ONCE): Promise<void> {
  let next = 0
  await Promise.all(Array.from({ length: atOnce }, async () => { while (next < count) await act(next++) }))
}

/** One connection that says something that is no hello, or nothing. */
export function knock(port: number, index: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = () => {
      socket.destroy()
      resolve()
    }
    socket.on('error', end).on('close', end)
    socket.on('connect', () => {
      if (index % 3 === 1) socket.write('GET / HTTP/1.1\r\n\r\n')
      if (index % 3 === 2) socket.write('\x16\x03\x01 garbage')
      setTimeout(end, STAY_MS)
    })
  })
}
