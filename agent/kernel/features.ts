import { KernelError } from './errors.ts'
import { addGreLink } from './gre.ts'
import { addIpipLink } from './ipip.ts'
import type { NetlinkRequest } from './message.ts'
import type { Encapsulation } from './modules.ts'
import { Netlink } from './netlink.ts'
import { inNewNetns } from './netns.ts'
import { addVxlanLink } from './vxlan.ts'
import { addWireguardLink } from './wireguard.ts'

/** Any will do: nothing is ever sent. RFC 5737. */
const LOCAL = '192.0.2.1'

const LINK: Readonly<Record<Encapsulation, (name: string) => NetlinkRequest>> = {
  vxlan: (name) => addVxlanLink({ name, mac: '02:00:00:00:00:01', mtuBytes: 1280, vni: 1, port: 8472, local: LOCAL }),
  ipip: (name) => addIpipLink({ name, mtuBytes: 1280, local: LOCAL }),
  gre: (name) => addGreLink({ name, mtuBytes: 1280, local: LOCAL }),
  wireguard: (name) => addWireguardLink({ name, mtuBytes: 1280 }),
}

/**
 * Finds out what the kernel can do by doing it, in a network namespace that nobody else sees and that goes with the
 * socket: a list of modules would not say what is built in, and one of features would be of another kernel.
 *
 * A module that is found is loaded by this, and those of ipip and gre put links that are down (`tunl0`, `gre0`) into
 * every namespace of the machine (unless net.core.fb_tunnels_only_for_init_net is set): ask for what is needed.
 * @returns the kernel's refusal where a kind is not possible: EOPNOTSUPP where it is unknown
 * @throws SystemError where no namespace can be made
 */
export async function probeEncapsulations<T extends Encapsulation>(
  kinds: readonly T[],
): Promise<ReadonlyMap<T, 'possible' | KernelError>> {
  const netlink = inNewNetns(() => new Netlink())
  try {
    const outcomes = await netlink.trySend(kinds.map((kind, index) => LINK[kind](`probe${index}`)))
    return new Map(
      kinds.map((kind, index) => {
        const outcome = outcomes[index]
        return [kind, outcome instanceof KernelError ? outcome : 'possible']
      }),
    )
  } finally {
    netlink.close()
  }
}
