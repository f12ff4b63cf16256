import { mkdirSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { Agent, until } from './agent.ts'
import { enterScratchNode, run } from './scratch.ts'

/** As Tailscale, a second provider or a VRF have it: rules send packets for other nodes to routes of other tables. */
const FOLDER = '/run/cluster'
const PEER = '100.64.0.2'
await enterScratchNode()
await addLink('eth0', 1500, '192.0.2.1/24')
await run('ip', 'route', 'add', 'default', 'via', '192.0.2.254', 'dev', 'eth0')
await addLink('vpn', 1300, '100.64.0.1/32')
await run('ip', 'tuntap', 'add', 'mode', 'tun', 'tun0')
await run('ip', 'link', 'set', 'tun0', 'mtu', '1280', 'up')

mkdirSync(FOLDER)
announce('pi-1', '10.42.1.0/24', '192.0.2.1')
announce('pi-2', '10.42.2.0/24', PEER)
const agent = await Agent.start({
  nodeName: 'pi-1',
  podCidrs: ['10.42.1.0/24'],
  args: ['--cluster-dir', FOLDER],
})
t.teardown(() => agent.stop())

t.test('without rules the main table tells by which link a node is reached', async (t) => {
  await untilSteps(t, 'eth0 1500', 'vxlan over IPv4 -50')
})

t.test('with them the kernel is asked about each node, and what it says changes with the rules', async (t) => {
  await run('ip', 'route', 'add', PEER, 'via', '100.64.0.77', 'dev', 'vpn', 'onlink', 'table', '52')
  await untilSteps(t, 'eth0 1500', 'vxlan over IPv4 -50')
  await run('ip', 'rule', 'add', 'priority', '5270', 'lookup', '52')
  await untilSteps(t, 'vpn 1300', 'vxlan over IPv4 -50')
  await run('ip', 'rule', 'delete', 'priority', '5270')
  await untilSteps(t, 'eth0 1500', 'vxlan over IPv4 -50')
  await run('ip', 'rule', 'add', 'priority', '5270', 'lookup', '52')
  await untilSteps(t, 'vpn 1300', 'vxlan over IPv4 -50')
})

t.test('a rule for packets from the own address counts for tunnels, whose packets are from there', async (t) => {
  await run('ip', 'rule', 'delete', 'priority', '5270')
  await untilSteps(t, 'eth0 1500', 'vxlan over IPv4 -50')
  await run('ip', 'rule', 'add', 'priority', '5270', 'from', '192.0.2.1', 'lookup', '52')
  await untilSteps(t, 'vpn 1300', 'vxlan over IPv4 -50')
  await run('ip', 'rule', 'delete', 'priority', '5270')
  await run('ip', 'rule', 'add', 'priority', '5270', 'from', '192.0.2.99', 'lookup', '52')
  await untilSteps(t, 'eth0 1500', 'vxlan over IPv4 -50')
  await run('ip', 'rule', 'delete', 'priority', '5270')
  await run('ip', 'rule', 'add', 'priority', '5270', 'lookup', '52')
  await untilSteps(t, 'vpn 1300', 'vxlan over IPv4 -50')
})

t.test('a neighbour by a route of another table is reached directly', async (t) => {
  await run('ip', 'route', 'replace', PEER, 'dev', 'vpn', 'table', '52')
  await until('it is so', async () => (await route()).includes(`via ${PEER} dev vpn`))
  await untilSteps(t, 'vpn 1300')
})

t.test('one behind a VPN is no neighbour: what the VPN does with pods is its own affair', async (t) => {
  await run('ip', 'route', 'replace', PEER, 'dev', 'tun0', 'table', '52')
  await until('it is so', async () => (await route()).includes('dev bramble.vxlan'))
  await untilSteps(t, 'tun0 1280', 'vxlan over IPv4 -50')
})

t.test('a node that comes is asked for, too', async (t) => {
  await run('ip', 'route', 'add', '100.64.0.3', 'dev', 'vpn', 'table', '52')
  announce('pi-3', '10.42.3.0/24', '100.64.0.3')
  await until('it has a route', async () => (await route('10.42.3.0/24')).includes('via 100.64.0.3 dev vpn'))
  t.pass()
})

t.end()

/** Nobody is at the other end. */
async function addLink(name: string, mtuBytes: number, address: string): Promise<void> {
  await run('ip', 'link', 'add', name, 'mtu', String(mtuBytes), 'type', 'veth', 'peer', `${name}-peer`)
  for (const link of [name, `${name}-peer`]) await run('ip', 'link', 'set', link, 'up')
  await run('ip', 'address', 'add', address, 'dev', name)
}

function announce(name: string, podCidr: string, address: string): void {
  const status = { addresses: [{ type: 'InternalIP', address }] }
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: { podCIDRs: [podCidr] }, status }
  writeFileSync(`${FOLDER}/${name}.json`, JSON.stringify(node))
}

function route(destination = '10.42.2.0/24'): Promise<string> {
  return run('ip', 'route', 'show', destination, 'proto', '97')
}

/** What `bramblectl mtu` says. */
async function untilSteps(t: Test, ...expected: string[]): Promise<void> {
  let steps: string[] = []
  const isSo = async () => {
    steps = (await agent.ask('mtu')).steps.map(({ what, bytes }) => `${what} ${bytes}`)
    return steps.join() === expected.join()
  }
  await until(`the steps are ${expected.join()}`, isSo).catch(() => {})
  t.same(steps, expected)
}
