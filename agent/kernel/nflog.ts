import { KernelError } from './errors.ts'
import { Netlink } from './netlink.ts'
import { everything, nothing } from './netlink-filter.ts'
import { NETLINK_PROTOCOL } from './netlink-socket.ts'
import { bindNflog, type LoggedPacket, parseNflog } from './nflog-message.ts'

/** Room for some dozens of packets; whoever floods us is not to fill the agent's memory. */
const BUFFER_BYTES = 64 * 1024
const WINDOW_MS = 1_000

export interface NflogOptions {
  /** The number behind `log group` in rules. */
  readonly group: number
  /** Of more the kernel drops the messages before the agent sees them. */
  readonly packetsPerSecondMax: number
  onPacket(packet: LoggedPacket): void
  /** So many were logged since the last packet and did not get here; told with the next one that does. */
  onLost(count: number): void
}

/** Packets that rules have logged, in the network namespace that the thread is in when it is made; never too many at once. */
export class Nflog {
  readonly #options: NflogOptions
  readonly #netlink: Netlink
  #taken = 0
  #nextSequence = 0
  #window: NodeJS.Timeout | undefined

  /** @throws KernelError that says what to do: the group is taken, or the kernel has no NFLOG, and rules that log are refused */
  static async bind(options: NflogOptions): Promise<Nflog> {
    const nflog = new Nflog(options)
    try {
      await nflog.#netlink.send([bindNflog(options.group)])
      return nflog
    } catch (error) {
      nflog.close()
      throw error instanceof KernelError ? explained(error, options.group) : error
    }
  }

  private constructor(options: NflogOptions) {
    this.#options = options
    this.#netlink = new Netlink(NETLINK_PROTOCOL.netfilter, {
      onMessage: (message) => {
        if (this.#taken >= options.packetsPerSecondMax) return // from before the filter, which is for what comes
        const packet = parseNflog(message)
        if (packet) this.#take(packet)
      },
      bufferBytes: BUFFER_BYTES,
    })
  }

  /** The group is free for others. */
  close(): void {
    clearTimeout(this.#window)
    this.#netlink.close()
  }

  #take(packet: LoggedPacket): void {
    const lost = (packet.sequence - this.#nextSequence) >>> 0
    this.#nextSequence = packet.sequence + 1
    if (lost > 0) this.#options.onLost(lost)
    this.#options.onPacket(packet)
    this.#window ??= setTimeout(() => this.#beginAnew(), WINDOW_MS).unref()
    if (++this.#taken === this.#options.packetsPerSecondMax) this.#netlink.accept(nothing())
  }

  #beginAnew(): void {
    this.#window = undefined
    if (this.#taken >= this.#options.packetsPerSecondMax) this.#netlink.accept(everything())
    this.#taken = 0
  }
}

function explained(error: KernelError, group: number): KernelError {
  const words: Readonly<Record<string, string>> = {
    // What nfnetlink says to a subsystem that it does not have, nor finds a module for.
    EINVAL: 'this kernel does not log packets to programs: modprobe nfnetlink_log',
    // net/netfilter/nfnetlink_log.c, nfulnl_recv_config()
    EPERM: `another program has group ${group}, or CAP_NET_ADMIN is missing; see /proc/net/netfilter/nfnetlink_log`,
    EBUSY: `this program has group ${group} already`,
  }
  return new KernelError(error.request, error.errno, words[error.errno])
}
