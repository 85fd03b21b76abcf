/** A network between a device and its server that a test may damage. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** What becomes of a piece that passes; `total` bytes have passed that way on this connection before it. */
export type Damage = (piece: Buffer, direction: 'up' | 'down', total: number) => void

export async function openProxy(url: string, damage: Damage): Promise<{ url: string; close(): void }> {
  const server = createServer((near) => {
    const far = connect(Number(new URL(url).port), '127.0.0.1')
    const ends = { up: { from: near, to: far }, down: { from: far, to: near } }
    for (const [direction, { from, to }] of Object.entries(ends)) {
      let total = 0
      from.on('error', () => {})
      from.on('close', () => to.destroy())
      from.on('data', (piece: Buffer) => {
        damage(piece, direction as 'up' | 'down', total)
        total += piece.length
        to.write(piece)
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `ws://127.0.0.1:${(server.address() as { port: number }).port}`, close: () => server.close() }
}
