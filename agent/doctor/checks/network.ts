import { check } from '../check.ts'
import { command, type Finding, shellWord } from '../finding.ts'
import { doOverlap, sharedCidr } from './cidrs.ts'

/** Addresses, uplinks, and who else has a hand on our links. */
export const NETWORK_CHECKS = [
  check({
    name: 'cidr-overlap',
    symptom: 'pods cannot reach the home LAN, a VPN or the router; or the agent refuses the pod CIDR',
    needs: ['network', 'agent'],
    find: ({ network: { routes }, agent: { podCidrs, answers } }) => {
      const pods = [
        ...podCidrs.map((cidr) => ({ cidr, whose: 'of this node' })),
        ...(answers?.peers ?? []).flatMap(({ node, podCidrs }) =>
          podCidrs.map((cidr) => ({ cidr, whose: `of ${node}` })),
        ),
      ]
      return pods.flatMap(({ cidr, whose }) =>
        routes
          .filter(({ destination }) => !destination.endsWith('/0') && doOverlap(cidr, destination))
          .map(
            ({ destination, link }): Finding => ({
              severity: 'error',
              what: `the pod CIDR ${cidr} ${whose} overlaps ${destination}, which is routed to ${link}`,
              why: 'of pods and of what is there, only one can be reached',
              advice: `if ${link} is a leftover, remove it; else give the pods of the cluster other addresses, for which it is made anew (kubeadm init --pod-network-cidr, k3s --cluster-cidr)`,
              remedies: [command(`ip route show ${destination}`)],
            }),
          ),
      )
    },
  }),
  check({
    name: 'cidr-of-two-nodes',
    symptom: 'the pods of one node are not reached from any other, since a node was added, cloned or restored',
    needs: ['agent'],
    find: ({ agent: { answers, runsAs } }) =>
      (answers?.problems ?? [])
        .flatMap((problem) => sharedCidr(problem) ?? [])
        .map(({ cidr, nodes }): Finding => {
          // The same one on whatever node this is asked.
          const [first = '', second = ''] = nodes.map(shellWord).toSorted()
          const columns = 'NAME:.metadata.name,SINCE:.metadata.creationTimestamp,CIDRS:.spec.podCIDRs'
          return {
            severity: 'error',
            what: `the nodes ${first} and ${second} have the same addresses for pods, or some of them: ${cidr}`,
            why: 'an address leads to one of them alone; the pods of the other are not reached',
            ...(runsAs === 'pod'
              ? {
                  advice:
                    'a Node keeps its pod CIDR for life, so the newer of the two has to join anew: last restart its kubelet (systemctl restart kubelet; k3s: k3s-agent)',
                  remedies: [
                    command(`kubectl get nodes ${first} ${second} -o custom-columns=${columns}`),
                    command(`kubectl drain ${second} --ignore-daemonsets --delete-emptydir-data`),
                    command(`kubectl delete node ${second}`),
                  ],
                }
              : { advice: 'give one of them another --pod-cidr, there and in --cluster-dir', remedies: [] }),
          }
        }),
  }),
  check({
    name: 'wifi-uplink',
    symptom: 'pods of other nodes answer late, now and then not at all',
    needs: ['network'],
    find: ({ network: { links } }) =>
      links
        .filter(({ isUplink, isWireless }) => isUplink && isWireless)
        .map(
          ({ name }): Finding => ({
            severity: 'note',
            what: `the node is joined to the others by Wi-Fi (${name})`,
            why: 'it loses packets and sleeps between beacons, so that the first packet after a pause takes up to 0.3 s',
            advice: 'Ethernet; or at least no sleep',
            remedies: [command(`iw dev ${shellWord(name)} set power_save off`)],
          }),
        ),
  }),
  check({
    name: 'link-keepers',
    symptom: 'pods lose their network when NetworkManager or systemd-networkd is restarted; MACs of our links change',
    needs: ['keepers'],
    find: ({ keepers: { networkManager, networkd } }) => [
      ...(networkManager.runs && !networkManager.leavesOurs
        ? [
            {
              severity: 'warning' as const,
              what: 'NetworkManager runs, and was not told to leave our links alone',
              why: 'it may set addresses and routes on links of pods, or take them down',
              advice: 'the agent tells it so where it installs its plugin (--cni-bin-dir); this does it by hand',
              remedies: [
                // With a plain = it would take the place of what the system's own files leave alone.
                command(
                  "printf '[keyfile]\\nunmanaged-devices+=interface-name:brm*;interface-name:bramble.*\\n' > /etc/NetworkManager/conf.d/bramble.conf",
                ),
                command('nmcli general reload'),
              ],
            },
          ]
        : []),
      ...(networkd.runs && !networkd.leavesOurs
        ? [
            {
              severity: 'warning' as const,
              what: 'systemd-networkd runs, and was not told to leave our links and routes alone',
              why: 'when it is restarted, it removes routes and rules that it did not make',
              advice: 'the agent tells it so where it installs its plugin (--cni-bin-dir); this does it by hand',
              remedies: [
                command(
                  "mkdir -p /etc/systemd/networkd.conf.d && printf '[Network]\\nManageForeignRoutes=no\\nManageForeignRoutingPolicyRules=no\\n' > /etc/systemd/networkd.conf.d/bramble.conf",
                ),
                command('systemctl restart systemd-networkd'),
              ],
            },
          ]
        : []),
    ],
  }),
]
