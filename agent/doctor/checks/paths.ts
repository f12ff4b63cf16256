import { check } from '../check.ts'
import { command, type Finding, type Remedy } from '../finding.ts'

/** The ways to other nodes, by packets that were sent there. */

const TUNNEL = 'bramble.vxlan'

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
    name: 'checksum-offload',
    symptom: 'ping between pods of two nodes works, TCP hangs for 63 s or for ever',
    needs: ['paths'],
    find: ({ paths: { checksums } }) => {
      const broken = [...checksums].filter(([, outcome]) => outcome === 'broken').map(([node]) => node)
      if (broken.length === 0) return []
      const remedy: Remedy = {
        command: `ethtool -K ${TUNNEL} tx-checksum-ip-generic off`,
        act: { kind: 'offload', link: TUNNEL },
      }
      return [
        {
          severity: 'error',
          what: `packets through ${TUNNEL} get to ${broken.join(', ')} with wrong checksums`,
          why: 'the network card does not fill them in for packets inside of VXLAN: TCP and UDP between pods of these nodes do not work',
          advice: 'until the next start of the tunnel; a newer kernel or firmware may help for good',
          remedies: [remedy],
        },
      ]
    },
  }),
]
