/** What is tried from inside a pod, and what came of it: goes there and back as JSON. Pure. */

export interface Probe {
  readonly id: number
  /**
   * tcp: a connection, and what a server of ours sends over it; connect: a connection alone; udp: a datagram there and
   * back; size: a packet of the full MTU that nobody may break up; echo: a small one; name: what DNS says.
   */
  readonly kind: 'tcp' | 'connect' | 'udp' | 'size' | 'echo' | 'name'
  /** An address; of `name` what is asked for. */
  readonly target: string
  /** Of tcp, connect and udp. */
  readonly port?: number
  /** One of these has to answer: servers by their names; of `name` an address. Absent: whoever does. */
  readonly answerers?: readonly string[]
  /** The server has to see the very address that the packet was sent from. */
  readonly keepsSource?: boolean
  /** Of `size`, with the IP header; absent: the MTU of eth0. */
  readonly packetBytes?: number
  readonly expects: 'reached' | 'blocked'
  /** How long it is tried again before it counts as failed. */
  readonly patienceMs: number
}

export interface Outcome {
  readonly id: number
  readonly isGood: boolean
  /** In a few words: the time it took, or what is wrong. */
  readonly words: string
}

/** In the environment of a process that probes: a list of probes. */
export const PROBES_VARIABLE = 'BRAMBLE_CONNECTIVITY_PROBES'
/** TCP and UDP, in pods that have nothing else in them. */
export const SERVER_PORT = 5202

/** Other lines may be in the log: a runtime's, Node's. */
const PREFIX = 'bramble-outcome '
const DONE = 'bramble-outcomes-done'

export function outcomeLine(outcome: Outcome): string {
  return `${PREFIX}${JSON.stringify(outcome)}\n`
}

export function lastLine(): string {
  return `${DONE}\n`
}

/** From a log, of which the end may not be there yet. Lines that are none of ours are left out. */
export function parseOutcomes(log: string): { outcomes: Outcome[]; isDone: boolean } {
  const lines = log.split('\n').slice(0, -1)
  const outcomes = lines.flatMap((line) => {
    if (!line.startsWith(PREFIX)) return []
    const { id, isGood, words } = JSON.parse(line.slice(PREFIX.length)) as Outcome
    return [{ id: Number(id), isGood: isGood === true, words: String(words) }]
  })
  return { outcomes, isDone: lines.includes(DONE) }
}
