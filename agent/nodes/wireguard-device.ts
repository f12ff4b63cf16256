import type { WireguardLink, WireguardPeer } from '../desired/objects.ts'
import { KernelError } from '../kernel/errors.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'

/** What lies behind our WireGuard link and is not told by rtnetlink: its key and port, and its peers. */
export interface WireguardDevice {
  /** As it was when it was looked at last. */
  readonly identity: { readonly publicKey: string; readonly port: number }
  look(): Promise<void>
  /** Gives the link its key and port. */
  configure(link: WireguardLink): Promise<void>
  readonly peers: Subsystem<WireguardPeer>
}

const refused = () => new KernelError('wireguard', 'EOPNOTSUPP')

/** Of an agent that has no key. */
export const NO_WIREGUARD: WireguardDevice = {
  identity: { publicKey: '', port: 0 },
  look: async () => {},
  configure: () => Promise.reject(refused()),
  peers: {
    name: 'peer',
    describe: ({ publicKey, link }) => `peer ${publicKey} on ${link}`,
    key: ({ publicKey, link }) => `${link} ${publicKey}`,
    equal: () => true,
    list: async () => [],
    put: async (objects) => objects.map(refused),
    remove: async (objects) => objects.map(() => undefined),
  },
}
