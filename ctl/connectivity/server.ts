import { createSocket, type Socket as Datagrams } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'

/** What a server of ours says first, on one line: who it is, and whom it sees. */
export interface Greeting {
  readonly name: string
  readonly peer: string
}

/** More than any window begins with: a path that loses large packets alone does not carry it. */
export const PAYLOAD_BYTES = 128 << 10

/** Who connects and says nothing (kubelet's probes) is let go. */
const SILENCE_MS = 10_000
const IPV4_MAPPED = /^::ffff:(?=\d+\.)/

/** The far end of the probes: TCP and UDP on one port, of both families where there are two. */
export class ProbeServer {
  readonly #tcp: Server
  readonly #udp: Datagrams

  private constructor(tcp: Server, udp: Datagrams) {
    this.#tcp = tcp
    this.#udp = udp
  }

  /** @throws NodeJS.ErrnoException where the port is taken */
  static async listen(name: string, port: number): Promise<ProbeServer> {
    const tcp = createServer((socket) => greet(socket, name))
    const hasIpv6 = await listens(tcp, port)
    const udp = createSocket({ type: hasIpv6 ? 'udp6' : 'udp4' })
    udp.on('message', (_message, { address, port: from }) => {
      udp.send(greeting(name, address), from, address, () => {}) // one that cannot be answered asks again
    })
    udp.bind(port)
    await once(udp, 'listening')
    return new ProbeServer(tcp, udp)
  }

  close(): void {
    this.#tcp.close()
    this.#udp.close()
  }
}

/** @returns whether it listens for both families: a kernel without IPv6 has no `::` */
async function listens(server: Server, port: number): Promise<boolean> {
  const listening = (host: string) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => {
        server.off('error', reject)
        resolve()
      })
    })
  try {
    await listening('::')
    return true
  } catch (error) {
    if (!['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    await listening('0.0.0.0')
    return false
  }
}

/** Waits for a word, answers, sends its payload and ends. */
function greet(socket: Socket, name: string): void {
  socket.on('error', () => {})
  socket.setTimeout(SILENCE_MS, () => socket.destroy())
  socket.once('data', () => {
    socket.write(greeting(name, socket.remoteAddress ?? ''))
    socket.end(Buffer.alloc(PAYLOAD_BYTES))
  })
}

function greeting(name: string, address: string): string {
  const said: Greeting = { name, peer: address.replace(IPV4_MAPPED, '') }
  return `${JSON.stringify(said)}\n`
}
