import fc from 'fast-check'
import t from 'tap'
import {
  type Attachment,
  type AttachmentInput,
  desiredAttachment,
  type LinkSide,
} from '../../../agent/pods/attachment.ts'

const CONTAINER_ID = '0123456789abcdef'

/** The whole attachment as text, in the words of `ip` and `sysctl`. */
function asText({ mtuBytes, host, pod }: Attachment): string {
  return [`mtu ${mtuBytes}`, ...side('on the node', host), ...side('in the pod', pod)].join('\n')
}

function side(where: string, { linkName, mac, sysctls, addresses, routes, rules, neighbours }: LinkSide): string[] {
  return [
    `${where}: link ${linkName} address ${mac}`,
    ...sysctls.map(({ key, value }) => `  sysctl net/${key}=${value}`),
    ...addresses.map(({ address, prefixLength }) => `  address ${address}/${prefixLength}`),
    ...routes.map(({ destination, gateway, table, metric, protocol }) => {
      const via = gateway ? ` via ${gateway}` : ''
      return `  route ${destination}${via} table ${table} metric ${metric} proto ${protocol}`
    }),
    ...rules.map(
      ({ from, table, priority, protocol }) =>
        `  rule from ${from} lookup ${table} priority ${priority} proto ${protocol}`,
    ),
    ...neighbours.map(({ address, mac }) => `  neighbour ${address} lladdr ${mac}`),
  ]
}

const desired = (input: Partial<AttachmentInput>) =>
  desiredAttachment({
    containerId: CONTAINER_ID,
    ifname: 'eth0',
    mtuBytes: 1450,
    addresses: ['10.42.0.7', 'fd42::7'],
    hasIpv6: true,
    ...input,
  })

const golden = (text: string) => text.trim()

t.test('a dual-stack pod, whole', async (t) => {
  t.equal(
    asText(desired({})),
    golden(`
mtu 1450
on the node: link brm95d930c5a66b address ee:ee:ee:ee:ee:ee
  sysctl net/ipv4/conf/brm95d930c5a66b/rp_filter=1
  sysctl net/ipv4/conf/brm95d930c5a66b/forwarding=1
  sysctl net/ipv4/conf/brm95d930c5a66b/proxy_arp=1
  sysctl net/ipv4/neigh/brm95d930c5a66b/proxy_delay=0
  sysctl net/ipv6/conf/brm95d930c5a66b/disable_ipv6=0
  sysctl net/ipv6/conf/brm95d930c5a66b/accept_ra=0
  sysctl net/ipv6/conf/brm95d930c5a66b/forwarding=1
  sysctl net/ipv6/conf/brm95d930c5a66b/proxy_ndp=1
  address fe80::ecee:eeff:feee:eeee/64
  route 10.42.0.7/32 table 254 metric 0 proto 98
  route fd42::7/128 table 254 metric 0 proto 98
  neighbour 10.42.0.7 lladdr 22:36:a9:ec:16:dc
  neighbour fd42::7 lladdr 22:36:a9:ec:16:dc
in the pod: link eth0 address 22:36:a9:ec:16:dc
  sysctl net/ipv6/conf/eth0/disable_ipv6=0
  sysctl net/ipv6/conf/eth0/accept_ra=0
  address 10.42.0.7/32
  address fd42::7/128
  address fe80::2036:a9ff:feec:16dc/64
  route 169.254.1.1/32 table 254 metric 0 proto 3
  route 0.0.0.0/0 via 169.254.1.1 table 254 metric 0 proto 3
  route ::/0 via fe80::ecee:eeff:feee:eeee table 254 metric 1024 proto 3
  neighbour 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee
  neighbour fe80::ecee:eeff:feee:eeee lladdr ee:ee:ee:ee:ee:ee
`),
  )
})

t.test('an IPv4-only pod on a node with IPv6, whole', async (t) => {
  t.equal(
    asText(desired({ addresses: ['10.42.0.7'] })),
    golden(`
mtu 1450
on the node: link brm95d930c5a66b address ee:ee:ee:ee:ee:ee
  sysctl net/ipv4/conf/brm95d930c5a66b/rp_filter=1
  sysctl net/ipv4/conf/brm95d930c5a66b/forwarding=1
  sysctl net/ipv4/conf/brm95d930c5a66b/proxy_arp=1
  sysctl net/ipv4/neigh/brm95d930c5a66b/proxy_delay=0
  sysctl net/ipv6/conf/brm95d930c5a66b/accept_ra=0
  sysctl net/ipv6/conf/brm95d930c5a66b/forwarding=1
  sysctl net/ipv6/conf/brm95d930c5a66b/proxy_ndp=1
  route 10.42.0.7/32 table 254 metric 0 proto 98
  neighbour 10.42.0.7 lladdr 22:36:a9:ec:16:dc
in the pod: link eth0 address 22:36:a9:ec:16:dc
  sysctl net/ipv6/conf/eth0/accept_ra=0
  address 10.42.0.7/32
  route 169.254.1.1/32 table 254 metric 0 proto 3
  route 0.0.0.0/0 via 169.254.1.1 table 254 metric 0 proto 3
  neighbour 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee
`),
  )
})

t.test('an IPv6-only pod, whole', async (t) => {
  t.equal(
    asText(desired({ addresses: ['fd42::7'] })),
    golden(`
mtu 1450
on the node: link brm95d930c5a66b address ee:ee:ee:ee:ee:ee
  sysctl net/ipv4/conf/brm95d930c5a66b/rp_filter=1
  sysctl net/ipv4/conf/brm95d930c5a66b/forwarding=1
  sysctl net/ipv4/conf/brm95d930c5a66b/proxy_arp=1
  sysctl net/ipv4/neigh/brm95d930c5a66b/proxy_delay=0
  sysctl net/ipv6/conf/brm95d930c5a66b/disable_ipv6=0
  sysctl net/ipv6/conf/brm95d930c5a66b/accept_ra=0
  sysctl net/ipv6/conf/brm95d930c5a66b/forwarding=1
  sysctl net/ipv6/conf/brm95d930c5a66b/proxy_ndp=1
  address fe80::ecee:eeff:feee:eeee/64
  route fd42::7/128 table 254 metric 0 proto 98
  neighbour fd42::7 lladdr 22:36:a9:ec:16:dc
in the pod: link eth0 address 22:36:a9:ec:16:dc
  sysctl net/ipv6/conf/eth0/disable_ipv6=0
  sysctl net/ipv6/conf/eth0/accept_ra=0
  address fd42::7/128
  address fe80::2036:a9ff:feec:16dc/64
  route ::/0 via fe80::ecee:eeff:feee:eeee table 254 metric 1024 proto 3
  neighbour fe80::ecee:eeff:feee:eeee lladdr ee:ee:ee:ee:ee:ee
`),
  )
})

t.test(
  'a further interface has default routes of a higher metric, and a table of its own for its replies',
  async (t) => {
    t.equal(
      asText(desired({ ifname: 'eth1', addresses: ['10.42.0.8', 'fd42::8'] })),
      golden(`
mtu 1450
on the node: link brma3eeb0c3fd10 address ee:ee:ee:ee:ee:ee
  sysctl net/ipv4/conf/brma3eeb0c3fd10/rp_filter=1
  sysctl net/ipv4/conf/brma3eeb0c3fd10/forwarding=1
  sysctl net/ipv4/conf/brma3eeb0c3fd10/proxy_arp=1
  sysctl net/ipv4/neigh/brma3eeb0c3fd10/proxy_delay=0
  sysctl net/ipv6/conf/brma3eeb0c3fd10/disable_ipv6=0
  sysctl net/ipv6/conf/brma3eeb0c3fd10/accept_ra=0
  sysctl net/ipv6/conf/brma3eeb0c3fd10/forwarding=1
  sysctl net/ipv6/conf/brma3eeb0c3fd10/proxy_ndp=1
  address fe80::ecee:eeff:feee:eeee/64
  route 10.42.0.8/32 table 254 metric 0 proto 98
  route fd42::8/128 table 254 metric 0 proto 98
  neighbour 10.42.0.8 lladdr 0a:22:5e:06:b5:13
  neighbour fd42::8 lladdr 0a:22:5e:06:b5:13
in the pod: link eth1 address 0a:22:5e:06:b5:13
  sysctl net/ipv6/conf/eth1/disable_ipv6=0
  sysctl net/ipv6/conf/eth1/accept_ra=0
  address 10.42.0.8/32
  address fd42::8/128
  address fe80::822:5eff:fe06:b513/64
  route 169.254.1.1/32 table 254 metric 1930823832 proto 3
  route 0.0.0.0/0 via 169.254.1.1 table 254 metric 1930823832 proto 3
  route ::/0 via fe80::ecee:eeff:feee:eeee table 254 metric 1930824856 proto 3
  route 169.254.1.1/32 table 1930823832 metric 0 proto 3
  route 0.0.0.0/0 via 169.254.1.1 table 1930823832 metric 0 proto 3
  route ::/0 via fe80::ecee:eeff:feee:eeee table 1930823832 metric 1024 proto 3
  rule from 10.42.0.8 lookup 1930823832 priority 1000 proto 98
  rule from fd42::8 lookup 1930823832 priority 1000 proto 98
  neighbour 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee
  neighbour fe80::ecee:eeff:feee:eeee lladdr ee:ee:ee:ee:ee:ee
`),
    )
  },
)

t.test('without IPv6 in the kernel no setting of IPv6 is asked for', async (t) => {
  t.notMatch(asText(desired({ addresses: ['10.42.0.7'], hasIpv6: false })), 'ipv6')
})

t.test('a link with an MTU below 1280 has no settings of IPv6 in the kernel, and none is asked for', async (t) => {
  const at = (mtuBytes: number) => asText(desired({ addresses: ['10.42.0.7'], mtuBytes }))
  t.notMatch(at(1279), 'ipv6')
  t.match(at(1280), 'sysctl net/ipv6/conf/eth0/accept_ra=0')
  t.match(at(0), 'sysctl net/ipv6/conf/eth0/accept_ra=0')
})

t.test('without addresses, as when a half-made pod is removed, there is nothing but the link', async (t) => {
  const { host, pod } = desired({ addresses: [] })
  t.same([host.routes, host.neighbours, host.addresses, pod.routes, pod.rules, pod.addresses], [[], [], [], [], [], []])
})

t.test('the way of 127.0.0.1 is open on links of pods alone to which it leads', async (t) => {
  const settings = (hostIps: readonly string[], addresses = ['10.42.0.7', 'fd42::7']) => {
    const hostPorts = hostIps.map((hostIp) => ({ protocol: 'tcp', hostIp, hostPort: 80, containerPort: 80 }) as const)
    return desired({ addresses, hostPorts }).host.sysctls.filter(({ key }) => key.endsWith('/route_localnet'))
  }
  for (const hostIp of ['', '0.0.0.0', '127.0.0.1', '127.1.2.3'])
    t.match(settings(['192.0.2.1', hostIp]), [{ key: /^ipv4\/conf\/brm/, value: '1' }], hostIp)
  for (const hostIps of [[], ['192.0.2.1'], ['::'], ['::1']]) t.strictSame(settings(hostIps), [])
  t.strictSame(settings([''], ['fd42::7']), [], 'a pod without IPv4')
})

t.test('the interfaces that pods have each get a table of their own, none of the reserved ones', async (t) => {
  const names = ['eth', 'net', 'ens', 'wlan', 'v'].flatMap((prefix) =>
    Array.from({ length: 1000 }, (_, i) => `${prefix}${i + 1}`),
  )
  const tableOf = (ifname: string) => desired({ ifname }).pod.rules[0]?.table ?? 0
  const tables = names.map(tableOf)
  t.equal(new Set(tables).size, names.length)
  t.ok(Math.min(...tables) >= 2 ** 30 && Math.max(...tables) < 2 ** 31)
})

t.test('the same input gives the same attachment; another container or interface another link and MAC', async () => {
  const id = fc.stringMatching(/^[a-z0-9]{1,64}$/)
  const ifname = fc.stringMatching(/^[a-z0-9]{1,15}$/)
  fc.assert(
    fc.property(id, ifname, id, ifname, (containerId, name, otherId, otherName) => {
      const one = desired({ containerId, ifname: name })
      if (asText(one) !== asText(desired({ containerId, ifname: name }))) return false
      if (containerId === otherId && name === otherName) return true
      const other = desired({ containerId: otherId, ifname: otherName })
      return one.host.linkName !== other.host.linkName && one.pod.mac !== other.pod.mac
    }),
  )
})
