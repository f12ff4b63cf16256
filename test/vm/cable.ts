import type { Machine } from './machine.ts'

/** What joins machines: a hub, to which each frame of one goes to all others, and which keeps what it has seen. */
export class Cable {
  readonly #frames: Buffer[] = []

  constructor(machines: readonly Machine[]) {
    for (const machine of machines) {
      const others = machines.filter((other) => other !== machine)
      let rest = Buffer.alloc(0)
      machine.cable.on('data', (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk])
        // qemu, net/socket.c: each frame is behind its length, 4 bytes, the highest first.
        while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
          const end = 4 + rest.readUInt32BE(0)
          for (const other of others) other.cable.write(rest.subarray(0, end))
          this.#frames.push(rest.subarray(4, end))
          rest = rest.subarray(end)
        }
      })
      machine.cable.on('error', () => {}) // the machine has ended
    }
  }

  /** All frames since the last call. */
  take(): Buffer[] {
    return this.#frames.splice(0)
  }
}
