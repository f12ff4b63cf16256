import t from 'tap'
import { until } from '../agent.ts'
import { inside, type LabNode, lanAddress, N3, reaches } from '../cluster.ts'
import { run } from '../scratch.ts'
import { calls } from './differences.ts'
import { type LabPod, type Manifest, N1, N2, PolicyLab } from './lab.ts'

/** What a policy lets pass and what not, beyond plain connections between pods: hard cases 9, 10, 16 and 18. */

// n3 is behind the router: seen from n1 it speaks from the address of its tunnel.
const lab = await PolicyLab.start([N1, N2, N3])
const FRIENDS = { podSelector: { matchLabels: { is: 'friend' } } }
const server = await lab.addPod({ namespace: 'x', name: 'server', labels: { is: 'server' } })
const friend = await lab.addPod({ namespace: 'x', name: 'friend', labels: { is: 'friend' } })
const stranger = await lab.addPod({ namespace: 'x', name: 'stranger' })
const far = await lab.addPod({ namespace: 'x', name: 'far', labels: { is: 'friend' }, node: N2 })
await lab.listen([
  { protocol: 'tcp', port: 80 },
  { protocol: 'udp', port: 80 },
])

function policy(name: string, spec: Manifest['spec']): Manifest {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: 'x', name }, spec }
}

const DENY_ALL = policy('deny-all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] })
const ALLOW_FRIENDS = policy('allow-friends', {
  podSelector: { matchLabels: { is: 'server' } },
  ingress: [{ from: [FRIENDS] }],
})

/** What others, as kube-proxy, have in the ruleset of n1. */
async function nft(commands: string): Promise<void> {
  const { exitCode, stderr } = await inside('n1', 'nft', commands)
  if (exitCode !== 0) throw new Error(stderr)
}

const between = (from: LabPod, to: LabPod, expected: 'open' | 'closed') =>
  calls(`${from.id} to ${to.id}`, from.netns, to.addresses, expected)
const only4 = ({ addresses }: LabPod) => addresses.filter((address) => !address.includes(':'))

t.afterEach(() => lab.removeAllPolicies())

t.test('hard case 9: under deny-all the own node reaches its pods, and they reach it; nobody else does', async (t) => {
  lab.put(DENY_ALL)
  const expected = [
    ...calls('n1 to server', 'n1', server.addresses, 'open'),
    ...between(friend, server, 'closed'),
    ...between(far, server, 'closed'),
    ...calls('n2 to server', 'n2', only4(server), 'closed'),
  ]
  t.same(await lab.differences(expected), [])
  t.ok(await reaches(server.netns, lanAddress(N1)), 'the pod reaches its node')
  t.notOk(await reaches(server.netns, lanAddress(N2)), 'and no other one')
})

t.test(
  'hard case 18: a pod reaches itself through a Service, and others are judged by whom they really reach',
  async (t) => {
    lab.put(DENY_ALL, ALLOW_FRIENDS, policy('friends-call', { podSelector: FRIENDS.podSelector, egress: [{}] }))
    const [address = ''] = server.addresses
    await nft(`add table ip services
    add chain ip services prerouting { type nat hook prerouting priority dstnat; }
    add rule ip services prerouting ip daddr 10.96.0.1 tcp dport 443 dnat to ${address}:80
    add chain ip services output { type nat hook output priority -100; }
    add rule ip services output ip daddr 10.96.0.1 tcp dport 443 dnat to ${address}:80
    add chain ip services postrouting { type nat hook postrouting priority srcnat - 1; }
    add rule ip services postrouting ip saddr ${address} ip daddr ${address} masquerade`)
    const service = (what: string, netns: string, expected: 'open' | 'closed') =>
      calls(what, netns, ['10.96.0.1'], expected, 443).filter(({ protocol }) => protocol === 'tcp')
    const expected = [
      ...service('server to itself', server.netns, 'open'),
      ...service('friend', friend.netns, 'open'),
      ...service('stranger', stranger.netns, 'closed'),
      ...service('node', 'n1', 'open'),
    ]
    t.same(await lab.differences(expected), [])
    await nft('delete table ip services')
  },
)

t.test(
  'hard case 18: what a Service sends on from the node itself, as with IPVS, is the pod’s and not the node’s',
  async (t) => {
    lab.put(ALLOW_FRIENDS)
    t.same(await lab.differences([...between(friend, server, 'open'), ...between(stranger, server, 'closed')]), [])
    const [to = ''] = server.addresses
    const counting = 'chain inet counting arrived { type filter hook input priority 0; udp dport 81 counter; }'
    t.match(await inside(server.netns, 'nft', `add table inet counting; add ${counting}`), { exitCode: 0 })
    /** IPVS sends what a pod says to a Service by the output hook, from the pod's address, and not by the forward hook. */
    const arrives = async (from: LabPod) => {
      await nft(`add table ip proxy
      add chain ip proxy output { type filter hook output priority raw; }
      add rule ip proxy output udp dport 81 ip saddr set ${only4(from)}`)
      await inside('n1', 'bash', '-c', 'exec 3>/dev/udp/$0/81; echo >&3', to)
      await nft('delete table ip proxy')
      const { stdout } = await inside(server.netns, 'nft', 'list table inet counting')
      return Number(/counter packets (\d+)/.exec(stdout)?.[1])
    }
    t.equal(await arrives(stranger), 0)
    t.equal(await arrives(friend), 1)
    await inside(server.netns, 'nft', 'delete table inet counting')
  },
)

t.test('hard case 18: a node, or a pod with its network, is its addresses, over a tunnel as well', async (t) => {
  const fromNodes = (...nodes: LabNode[]) =>
    policy('from-nodes', {
      podSelector: {},
      ingress: [{ from: nodes.map((node) => ({ ipBlock: { cidr: `${lanAddress(node)}/32` } })) }],
    })
  const expected = (n2: 'open' | 'closed', n3: 'open' | 'closed') => [
    ...calls('n2', 'n2', only4(server), n2),
    ...calls('n3', 'n3', only4(server), n3),
    ...between(stranger, server, 'closed'),
  ]
  lab.put(fromNodes(N3))
  t.same(await lab.differences(expected('closed', 'open')), [])
  lab.put(fromNodes(N2))
  t.same(await lab.differences(expected('open', 'closed')), [])
})

t.test(
  'hard case 18: what comes to a hostPort from outside is judged by the address from which it comes',
  async (t) => {
    const [address = ''] = server.addresses
    await nft(`add table ip ports
    add chain ip ports prerouting { type nat hook prerouting priority dstnat; }
    add rule ip ports prerouting fib daddr type local tcp dport 8080 dnat to ${address}:80`)
    const expected = (verdict: 'open' | 'closed') =>
      calls('the router', '', [lanAddress(N1)], verdict, 8080).filter(({ protocol }) => protocol === 'tcp')
    lab.put(policy('lan', { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: '192.168.1.0/24' } }] }] }))
    t.same(await lab.differences(expected('open')), [])
    const except = ['192.168.1.254/32']
    lab.put(policy('lan', { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: '192.168.1.0/24', except } }] }] }))
    t.same(await lab.differences(expected('closed')), [])
    await nft('delete table ip ports')
  },
)

t.test('hard case 16: fragments pass where their packet may, in both families, and not elsewhere', async (t) => {
  lab.put(DENY_ALL, ALLOW_FRIENDS, policy('all-call', { podSelector: {}, egress: [{}] }))
  t.same(await lab.differences([...between(friend, server, 'open'), ...between(stranger, server, 'closed')]), [])
  for (const address of server.addresses)
    for (const [from, isAllowed] of [
      [friend, true],
      [far, true],
      [stranger, false],
    ] as const) {
      const ping = await inside(from.netns, 'ping', '-n', '-c', '1', '-W', '1', '-s', '4000', address)
      t.equal(ping.exitCode === 0, isAllowed, `${from.id} to ${address}`)
    }
})

t.test('hard case 16: "fragmentation needed" reaches a pod that nobody may call', async (t) => {
  lab.put(policy('no-calls', { podSelector: {}, policyTypes: ['Ingress'] }))
  t.same(await lab.differences(between(friend, server, 'closed')), [])
  await run('ip', 'link', 'set', 'lan-b', 'mtu', '1280')
  await run('ip', 'route', 'add', '198.51.100.1/32', 'dev', 'lan-b')
  await until('the pod learns of the small link', async () => {
    await inside(server.netns, 'ping', '-n', '-c', '1', '-W', '1', '-M', 'do', '-s', '1400', '198.51.100.1')
    return /mtu 1280/.test((await inside(server.netns, 'ip', 'route', 'get', '198.51.100.1')).stdout)
  })
  t.pass()
})

t.test(
  'hard case 10: of a pod that is gone nothing is left, neither in the rules nor among the connections',
  async (t) => {
    lab.put(ALLOW_FRIENDS)
    const guest = await lab.addPod({ namespace: 'x', name: 'guest', labels: { is: 'friend' } })
    const mentions = async () => {
      const [rules, connections] = await Promise.all([
        inside('n1', 'nft', 'list', 'table', 'inet', 'bramble-policy'),
        inside('n1', 'cat', '/proc/net/nf_conntrack'),
      ])
      const lines = `${rules.stdout}\n${connections.stdout}`.split(/[\n,]/)
      return lines.filter((line) =>
        guest.addresses.some((address) => new RegExp(`\\b${address}(?![\\d:.])`).test(line)),
      )
    }
    t.same(await lab.differences(between(guest, server, 'open')), [])
    t.ok((await mentions()).length > 0)
    await lab.deletePod(guest)
    await until('nothing is left', async () => (await mentions()).length === 0)
    t.pass()
  },
)

t.teardown(() => lab.stop())
