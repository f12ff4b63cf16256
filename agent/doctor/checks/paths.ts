import { TUNNEL_LINKS } from '../../ownership.ts'
import { check } from '../check.ts'
import { command, type Finding, type Remedy, shellWord } from '../finding.ts'
import { few } from './leavers.ts'

/** The ways to other nodes, by packets that were sent there. */

export const PATH_CHECKS = [
  check({
    name: 'path-mtu',
    symptom: 'small requests work, large ones hang: TLS handshakes, image pulls, `kubectl logs`',
    needs: ['paths'],
    find: ({ paths: { peers } }) =>
      peers
        .filter(({ neededBytes, measuredBytes = Infinity }) => measuredBytes < neededBytes)
        .map(
          ({ node, way, address, neededBytes, measuredBytes }): Finding => ({
            severity: 'error',
            what: `packets of ${neededBytes} bytes do not get to ${node} (${address}, ${way}); ${measuredBytes} do`,
            why: 'what is larger vanishes: connections open, and hang with the first full packet',
            advice: 'find the link on the way that takes less, or give pods a smaller MTU',
            remedies: [command('bramblectl mtu --probe')],
          }),
        ),
  }),
  check({
    name: 'own-mtu',
    symptom: 'large packets of other nodes do not get to this one: datagrams above some size are lost, here alone',
    needs: ['paths', 'network'],
    find: ({ paths: { largerPeers, peers }, network: { links } }) => {
      const [first] = largerPeers
      if (!first) return []
      const names = few([...new Set(largerPeers.map(({ node, address }) => `${node} (${address})`))])
      const bytes = peers.find(({ address }) => address === first.address)?.measuredBytes
      const uplinks = links.filter(({ isUplink }) => isUplink).map(({ name }) => name)
      const finding: Finding = {
        severity: 'warning',
        what: `packets as large as those of ${names} do not get here; this node itself sends no more than ${bytes} bytes`,
        why: 'what is larger than this node takes vanishes before it; TCP agrees on less, and all else is lost. Who drops fragments on the way does the same',
        advice:
          'give the uplink the MTU that those of the other nodes have: ip link set dev UPLINK mtu 1500; or give the others less',
        remedies: (uplinks.length > 0 ? uplinks : ['']).map((name) => command(`ip link show ${shellWord(name)}`)),
      }
      return [finding]
    },
  }),
  check({
    name: 'peer-silent',
    symptom: 'pods of one node are not reached from another',
    needs: ['paths'],
    find: ({ paths: { peers } }) =>
      peers
        .filter(({ problem, measuredBytes }) => problem !== undefined && measuredBytes === undefined)
        .map(
          ({ node, address, problem }): Finding => ({
            severity: 'warning',
            what: `${node} (${address}) ${problem}`,
            why: 'whether its pods can be reached is not known; while it is away, they are not',
            remedies: [command(`ping -c 3 ${address}`), command(`ip route get ${address}`)],
          }),
        ),
  }),
  check({
    name: 'tunnel-silent',
    symptom: 'nodes reach each other, and their pods do not',
    needs: ['paths'],
    find: ({ paths: { peers, tunnelEnds } }) =>
      tunnelEnds
        .filter(({ outcome }) => outcome === 'silent')
        // One that does not answer at all is no matter of the tunnel.
        .filter((end) => peers.some(({ node, measuredBytes }) => node === end.node && measuredBytes !== undefined))
        .map(({ node, way, address }): Finding => {
          const from = peers.find((peer) => peer.node === node)?.address ?? ''
          const { what, rule, port }: Carrier = CARRIERS[way] ?? { what: 'what carries it', rule: `-s ${from}` }
          const program = from.includes(':') ? 'ip6tables' : 'iptables'
          return {
            severity: 'error',
            what: `${node} answers, but its end of ${way} (${address}) does not`,
            why: `${what} is dropped between the two nodes, by a firewall on one of them or on the way: their pods do not reach each other`,
            advice: `on both nodes${port ? `; by ufw: ufw allow ${port}; by firewalld: firewall-cmd --permanent --add-port=${port}, then --reload` : ''}`,
            remedies: [command(`${program} -I INPUT ${rule} -j ACCEPT`)],
          }
        }),
  }),
  check({
    name: 'checksum-offload',
    symptom: 'ping between pods of two nodes works, TCP hangs for 63 s or for ever',
    needs: ['paths'],
    find: ({ paths: { tunnelEnds } }) => {
      const broken = tunnelEnds.filter(({ way, outcome }) => way === 'vxlan' && outcome === 'spoilt')
      if (broken.length === 0) return []
      const remedy: Remedy = {
        command: `ethtool -K ${TUNNEL_LINKS.vxlan} tx off`,
        act: { kind: 'offload', link: TUNNEL_LINKS.vxlan },
      }
      return [
        {
          severity: 'error',
          what: `packets through ${TUNNEL_LINKS.vxlan} get to ${broken.map(({ node }) => node).join(', ')} with wrong checksums`,
          why: 'the network card does not fill them in for packets inside of VXLAN: TCP and UDP between pods of these nodes do not work',
          advice: 'until the next start of the tunnel; a newer kernel or firmware may help for good',
          remedies: [remedy],
        },
      ]
    },
  }),
]

interface Carrier {
  readonly what: string
  /** For iptables. */
  readonly rule: string
  /** For firewalls that know ports alone. */
  readonly port?: string
}

/** By what each tunnel goes; the ports are those of the agent's options where nobody says otherwise. */
const CARRIERS: Readonly<Record<string, Carrier>> = {
  vxlan: { what: 'UDP 4789 (--vxlan-port)', rule: '-p udp --dport 4789', port: '4789/udp' },
  wireguard: { what: 'UDP 51820 (--wireguard-port)', rule: '-p udp --dport 51820', port: '51820/udp' },
  ipip: { what: 'IP protocol 4', rule: '-p 4' },
  gre: { what: 'IP protocol 47', rule: '-p 47' },
}
