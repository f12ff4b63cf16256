import { parseCidr } from '../../../ipam/address.ts'
import { check } from '../check.ts'
import type { NodeLink } from '../facts.ts'
import { command, type Finding, type Remedy, shellWord, sysctlRemedy } from '../finding.ts'

/** Kernel settings of the node. */

/** RFC 3704: 1 drops what comes by another link than its answer would leave by, 2 what has no way back at all. */
const STRICT = 1
/** kube-proxy's least. */
const CONNTRACK_LEAST = 131_072
const CONNTRACK_FULL = 0.9

export const SETTINGS_CHECKS = [
  check({
    name: 'forwarding',
    symptom: 'pods reach their own node, and nothing else',
    needs: ['settings', 'agent'],
    find: ({ settings: { forwarding }, agent: { podCidrs } }) =>
      ([4, 6] as const)
        .filter((family) => podCidrs.some((cidr) => cidr.includes(':') === (family === 6)))
        .filter((family) => forwarding[family] !== '1')
        .map((family): Finding => {
          const key = family === 4 ? 'ipv4/ip_forward' : 'ipv6/conf/all/forwarding'
          return {
            severity: 'error',
            what: `net/${key} is ${forwarding[family] ?? 'missing'}`,
            why: 'the node drops what pods send and get; the agent sets it when it starts, so something has reset it since',
            advice: `find what: grep -r ${family === 4 ? 'ip_forward' : 'forwarding'} /etc/sysctl.d /etc/sysctl.conf`,
            remedies: [sysctlRemedy(key, '1')],
          }
        }),
  }),
  check({
    name: 'rp-filter',
    symptom: 'nodes with Ethernet and Wi-Fi at once: some pods are reached, some are not; hostPorts time out',
    needs: ['settings', 'network'],
    find: ({ settings: { reversePathFilter }, network: { links } }) => {
      const strict = links.filter(({ name }) => reversePathFilter.get(name) === STRICT)
      // A tunnel of ours sends answers where they came from; links of pods are strict on purpose.
      const twins = strict.filter(
        (link) => !link.isOurs && links.some((other) => other !== link && sharesNetwork(link, other)),
      )
      return twins.map(
        ({ name }): Finding => ({
          severity: 'warning',
          what: `${name} has strict reverse path filtering (rp_filter=1), and another link is in the same network`,
          why: `what comes by ${name} is dropped where the answer would leave by the other link`,
          advice: `2 lets it in as long as there is any way back; or take one of the two links down`,
          remedies: [
            sysctlRemedy(`ipv4/conf/${name}/rp_filter`, '2'),
            command(
              `echo ${shellWord(`net/ipv4/conf/${name}/rp_filter=2`)} > ${shellWord(`/etc/sysctl.d/90-rp-filter-${name}.conf`)}`,
            ),
          ],
        }),
      )
    },
  }),
  check({
    name: 'conntrack-full',
    symptom: '"nf_conntrack: table full, dropping packet"; new connections fail now and then',
    needs: ['settings'],
    find: ({ settings: { conntrack } }) => {
      if (!conntrack || conntrack.count < conntrack.max * CONNTRACK_FULL) return []
      const wanted = Math.max(CONNTRACK_LEAST, conntrack.max * 2)
      return [
        {
          severity: 'error',
          what: `${conntrack.count} of ${conntrack.max} connections are tracked: the table is full`,
          why: 'packets of new connections are dropped, of every pod and of the node itself',
          advice: 'an entry takes some 300 bytes of memory that cannot be paged out',
          remedies: conntrackRemedies(wanted),
        },
      ]
    },
  }),
  check({
    name: 'conntrack-small',
    symptom: 'new connections fail under load',
    needs: ['settings'],
    find: ({ settings: { conntrack } }) =>
      !conntrack || conntrack.max >= 16_384 || conntrack.count >= conntrack.max * CONNTRACK_FULL
        ? []
        : [
            {
              severity: 'note',
              what: `at most ${conntrack.max} connections are tracked`,
              why: 'a few busy pods fill that, and then packets of new connections are dropped',
              remedies: conntrackRemedies(CONNTRACK_LEAST),
            },
          ],
  }),
]

/** At a start settings are made before anything loads the module, and without it this one is passed over. */
function conntrackRemedies(entries: number): Remedy[] {
  return [
    sysctlRemedy('netfilter/nf_conntrack_max', String(entries)),
    command(`echo net.netfilter.nf_conntrack_max=${entries} > /etc/sysctl.d/90-conntrack.conf`),
    command('echo nf_conntrack > /etc/modules-load.d/90-conntrack.conf'),
  ]
}

function sharesNetwork(a: NodeLink, b: NodeLink): boolean {
  const networks = new Set(a.addresses.flatMap(networkOf))
  return !b.isOurs && b.addresses.flatMap(networkOf).some((network) => networks.has(network))
}

/** rp_filter is of IPv4 alone. */
function networkOf(address: string): string[] {
  if (address.includes(':')) return []
  const [host = '', length = '32'] = address.split('/')
  const bits = 32n - BigInt(length)
  const number = parseCidr(`${host}/32`).first
  return length === '32' ? [] : [`${(number >> bits) << bits}/${length}`]
}
