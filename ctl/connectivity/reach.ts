import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, isIPv6, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Probe } from './probe.ts'
import { type Greeting, PAYLOAD_BYTES } from './server.ts'

/** One try of one probe. */
export type Reach =
  | { readonly isReached: true; readonly words: string }
  | { readonly isReached: false; readonly words: string }

/** Longer than a Wi-Fi station sleeps, and one SYN that is lost. */
const CONNECT_MS = 2_500
/** For the payload, once there is a connection. */
const TRANSFER_MS = 10_000
const DATAGRAM_MS = 1_500
const NAME_MS = 5_000

/** Never throws: what goes wrong is the result. */
export async function reach(probe: Probe): Promise<Reach> {
  const startMs = performance.now()
  const reached = (words = '') => {
    const ms = `${(performance.now() - startMs).toFixed(1)} ms`
    return { isReached: true, words: words === '' ? ms : `${words}, ${ms}` } as const
  }
  try {
    switch (probe.kind) {
      case 'tcp':
        return told(probe, await overTcp(probe)) ?? reached()
      case 'connect':
        ;(await connected(probe)).destroy()
        return reached()
      case 'udp':
        return told(probe, await overUdp(probe)) ?? reached()
      case 'size':
      case 'echo':
        return reached(await overIcmp(probe))
      case 'name':
        return named(probe, await addressesOf(probe.target)) ?? reached()
    }
  } catch (error) {
    return { isReached: false, words: (error as Error).message }
  }
}

/** What is wrong with who answered; undefined: nothing. */
function told({ answerers, keepsSource }: Probe, { name, peer }: Greeting): Reach | undefined {
  if (answerers && !answerers.includes(name))
    return { isReached: false, words: `${name} answers there, which is another pod` }
  if (keepsSource && !ownAddresses().includes(peer))
    return { isReached: false, words: `it is seen as ${peer} there: something on the way changes the source address` }
  return undefined
}

function named({ answerers = [] }: Probe, addresses: readonly string[]): Reach | undefined {
  if (answerers.length === 0 || addresses.some((address) => answerers.includes(address))) return undefined
  return { isReached: false, words: `DNS says ${addresses.join(', ')}, and not ${answerers.join(' or ')}` }
}

async function connected({ target, port = 0 }: Probe): Promise<Socket> {
  const socket = connect({ host: target, port })
  const timer = setTimeout(
    () =>
      socket.destroy(
        new Error(`no connection within ${CONNECT_MS / 1000} s: packets are dropped, there or on the way`),
      ),
    CONNECT_MS,
  )
  try {
    await once(socket, 'connect')
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

async function overTcp(probe: Probe): Promise<Greeting> {
  const socket = await connected(probe)
  const chunks: Buffer[] = []
  const bytes = () => chunks.reduce((sum, { length }) => sum + length, 0)
  const timer = setTimeout(
    () =>
      socket.destroy(
        new Error(`a connection, but after ${bytes()} of ${PAYLOAD_BYTES} bytes nothing more: large packets are lost`),
      ),
    TRANSFER_MS,
  )
  try {
    socket.write('go\n')
    for await (const chunk of socket) chunks.push(chunk)
  } finally {
    clearTimeout(timer)
  }
  const all = Buffer.concat(chunks)
  const end = all.indexOf('\n')
  if (end < 0 || all.length - end - 1 < PAYLOAD_BYTES) throw new Error(`the connection ended after ${all.length} bytes`)
  return JSON.parse(all.subarray(0, end).toString('utf8'))
}

async function overUdp({ target, port = 0 }: Probe): Promise<Greeting> {
  const socket = createSocket(isIPv6(target) ? 'udp6' : 'udp4')
  try {
    socket.connect(port, target)
    await once(socket, 'connect')
    socket.send('go\n', () => {})
    const aborted = AbortSignal.timeout(DATAGRAM_MS)
    const [answer] = await once(socket, 'message', { signal: aborted }).catch((error: NodeJS.ErrnoException) => {
      throw aborted.aborted ? new Error(`no answer within ${DATAGRAM_MS / 1000} s`) : error
    })
    return JSON.parse(String(answer))
  } finally {
    socket.close()
  }
}

/** A whole packet there and back; the IP header counts. */
async function overIcmp({ kind, target, packetBytes }: Probe): Promise<string> {
  const bytes = kind === 'echo' ? 84 : (packetBytes ?? Number(readFileSync('/sys/class/net/eth0/mtu', 'utf8')))
  const { EchoSocket } = await import('../../agent/kernel/icmp.ts')
  const socket = new EchoSocket(target)
  try {
    const outcome = await socket.echo(bytes, DATAGRAM_MS)
    if (outcome === 'answered') return kind === 'size' ? `${bytes} bytes` : ''
    const reasons = {
      'too-big': `packets of ${bytes} bytes are too large for the way`,
      unreachable: 'the answer is that it cannot be reached',
      lost: `no answer to ${bytes} bytes within ${DATAGRAM_MS / 1000} s`,
    }
    throw new Error(reasons[outcome])
  } finally {
    socket.close()
  }
}

/** As programs ask, with the search domains of the pod. */
async function addressesOf(name: string): Promise<string[]> {
  const late = sleep(NAME_MS, undefined, { ref: false }).then(() => {
    throw new Error(`DNS does not answer within ${NAME_MS / 1000} s`)
  })
  const found = await Promise.race([lookup(name, { all: true }), late])
  return found.map(({ address }) => address)
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address))
}
