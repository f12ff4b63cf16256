import { type ConntrackEntry, listConntrack, parseConntrack } from './conntrack.ts'
import { KernelError } from './errors.ts'
import type { Netlink } from './netlink.ts'

/**
 * Hands over each entry, of both families. None is kept: there may be hundreds of thousands. One that is made or that
 * goes meanwhile may be left out, and one may come twice.
 * @param netlink of the protocol `netfilter`; the entries are those of the namespace that it was made in
 * @throws KernelError, with what to do where the kernel does not tell of connections
 */
export async function streamConntrack(netlink: Netlink, take: (entry: ConntrackEntry) => void): Promise<void> {
  const request = listConntrack()
  try {
    await netlink.stream(request, (message) => {
      const entry = parseConntrack(message)
      if (entry) take(entry)
    })
  } catch (error) {
    // What nfnetlink says to a subsystem that it does not have, nor finds a module for.
    if (error instanceof KernelError && error.errno === 'EINVAL')
      throw new KernelError(
        request.name,
        error.errno,
        'this kernel does not list connections: modprobe nf_conntrack_netlink',
      )
    throw error
  }
}
