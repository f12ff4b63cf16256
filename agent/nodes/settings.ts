import type { Announcement, Encapsulation } from '../cluster/view.ts'
import type { NetworkSettings } from '../desired/network.ts'
import type { Options } from '../options.ts'
import { publicKeyOf } from '../wireguard-key.ts'

/** What the options mean for the network between nodes. @param wireguardKey private, base64 */
export function networkSettings(options: Options, wireguardKey: string | undefined): NetworkSettings {
  return {
    ...options,
    masquerade: { isOn: options.masquerades, exempt: options.noMasqueradeCidrs },
    ...(wireguardKey !== undefined && {
      wireguard: {
        publicKey: publicKeyOf(wireguardKey),
        port: options.wireguardPort,
        keepaliveSeconds: options.wireguardKeepaliveSeconds,
      },
    }),
  }
}

/** Whether what goes to other nodes is encrypted, all of it or that of pods. */
export function encrypts({ isEncrypted, routing }: Pick<Options, 'isEncrypted' | 'routing'>): boolean {
  return isEncrypted || routing === 'wireguard'
}

/** The UDP ports at which this node's tunnels end: whoever has one of them has what other nodes send. */
export function tunnelPorts(
  options: Pick<Options, 'isEncrypted' | 'routing' | 'vxlanPort' | 'wireguardPort'>,
): readonly number[] {
  const vxlan = options.routing === 'auto' || options.routing === 'vxlan' ? [options.vxlanPort] : []
  return encrypts(options) ? [...vxlan, options.wireguardPort] : vxlan
}

/** What the others are told of this node. */
export function announcement(
  encapsulations: readonly Encapsulation[],
  { wireguard }: Pick<NetworkSettings, 'wireguard'>,
): Announcement {
  if (!wireguard) return { encapsulations }
  return { encapsulations, wireguard: { publicKey: wireguard.publicKey, port: wireguard.port } }
}
