import { closeSync } from 'node:fs'
import { Answers, encodeRequests, type Outcome } from './answers.ts'
import { KernelError } from './errors.ts'
import { receiveUntil, sendNow } from './exchange.ts'
import { bind } from './libc.ts'
import { type NetlinkMessage, type NetlinkRequest, NLM_F_ACK } from './message.ts'
import type { NetlinkRequests } from './netlink.ts'
import { NETLINK_PROTOCOL } from './netlink-socket.ts'
import { NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_NO_ENOBUFS, SOL_NETLINK, setSocketFlag } from './socket-options.ts'

// include/linux/socket.h, include/linux/net.h
const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000

const socket = bind<[number, number, number]>('int socket(int domain, int type, int protocol)')

/**
 * For a few requests in a pod's namespace: a socket that no event loop knows, since that takes as long as what is asked. It
 * lists nothing, and its requests are answered when they are sent, or never: see exchange.ts.
 */
export class DirectNetlink implements NetlinkRequests {
  readonly #fd: number
  readonly #answers = new Answers()

  /**
   * The socket belongs to the network namespace that the thread is in at this moment, and stays there.
   * @throws SystemError
   */
  constructor() {
    this.#fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_PROTOCOL.route)
    setSocketFlag(this.#fd, SOL_NETLINK, NETLINK_NO_ENOBUFS)
    setSocketFlag(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK)
    setSocketFlag(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK)
  }

  /**
   * The kernel carries them out in order, and goes on after a refusal. Not more than a hundred.
   * @throws KernelError of the first refusal, when all are answered
   */
  async send(requests: readonly NetlinkRequest[]): Promise<NetlinkMessage[][]> {
    return (await this.trySend(requests)).map((outcome) => {
      if (outcome instanceof KernelError) throw outcome
      return outcome
    })
  }

  /** Like send, but tells each request's outcome. @throws SystemError when nothing can be sent, or received, at all */
  async trySend(requests: readonly NetlinkRequest[]): Promise<Outcome[]> {
    const answers = requests.map(({ name }) => this.#answers.expect(name))
    const numbered = answers.map(({ sequence }, index) => ({
      request: requests[index] as NetlinkRequest,
      sequence,
      flags: NLM_F_ACK,
    }))
    sendNow(this.#fd, encodeRequests(numbered))
    try {
      const isDone = () => this.#answers.size === 0
      receiveUntil(this.#fd, isDone, (datagram) => this.#answers.receive(datagram))
    } finally {
      for (const answer of this.#answers) this.#answers.giveUp(answer, 'ETIMEDOUT')
    }
    return answers.map(({ outcome }) => outcome ?? [])
  }

  close(): void {
    closeSync(this.#fd)
  }
}
