import { pino } from 'pino'
import t from 'tap'
import { PublishedPorts } from '../../agent/hostports/published.ts'
import { HOST_PORTS_TABLE } from '../../agent/hostports/table.ts'
import { LazyNftables } from '../../agent/kernel/lazy-nftables.ts'
import { Netlink } from '../../agent/kernel/netlink.ts'
import { parseCidr } from '../../ipam/address.ts'
import type { HostPort } from '../../ipam/host-port.ts'
import { Leases } from '../../ipam/leases.ts'
import { capture, enterScratchNode } from './scratch.ts'

/*
 * The table of ports by itself, without an agent: what comes together only where somebody does what nobody should.
 */
await enterScratchNode()
const netlink = new Netlink()
const nftables = new LazyNftables()
t.after(async () => {
  netlink.close()
  await nftables.close()
})

const web = (hostIp = ''): HostPort => ({ protocol: 'tcp', hostIp, hostPort: 80, containerPort: 8080 })
const admin: HostPort = { ...web(), hostPort: 81 }

function node() {
  const cidrs = ['10.42.0.0/24', 'fd42::/64'].map(parseCidr)
  const leases = new Leases(cidrs, { append: () => {} }, () => performance.now())
  const ports = new PublishedPorts({ netlink, nftables, leases, log: pino({ level: 'silent' }) })
  const lease = (containerId: string, ...hostPorts: HostPort[]) =>
    leases.reserve({ containerId, ifname: 'eth0', network: 'bramble', pod: '', hostPorts })
  return { leases, ports, lease }
}

/** Where IPv4 connections to a port of the node go; undefined: nowhere. */
async function destinationOf(port: number): Promise<string | undefined> {
  const { stdout } = await capture('nft', ['list', 'table', ...HOST_PORTS_TABLE.split(' ')])
  return stdout.match(new RegExp(`tcp \\. ${port} : (10\\.\\S+) `))?.[1]
}

t.test('a port that is taken away twice stays with the pod that has it by now', async (t) => {
  const { leases, ports, lease } = node()
  const first = lease('first', web())
  await ports.publish(first)
  leases.release('first', 'eth0') // as when its link goes in the middle of its ADD
  await ports.withdraw(first)
  const second = lease('second', web())
  await ports.publish(second)
  await ports.withdraw(first) // the end of that ADD
  t.equal(await destinationOf(80), second.addresses[0])
  t.strictSame(await ports.differences(), [])
  leases.release('second', 'eth0')
  await ports.withdraw(second)
  t.equal((await capture('nft', ['list', 'table', ...HOST_PORTS_TABLE.split(' ')])).exitCode, 1)
})

t.test(
  'of two pods with one port by their records the first has it, then the second, and others lose none',
  async (t) => {
    const { leases, ports, lease } = node()
    const first = lease('first', web())
    const second = lease('second', web(), admin)
    await ports.start()
    t.strictSame(ports.problems, [])
    t.equal(await destinationOf(80), first.addresses[0])
    t.equal(await destinationOf(81), second.addresses[0])
    t.match(
      await ports.differences([second]),
      [/any4 \{ 6 \. 80 : /, /any6 \{ 6 \. 80 : /],
      'CHECK and ipam check tell it',
    )
    leases.release('first', 'eth0')
    await ports.withdraw(first)
    t.equal(await destinationOf(80), second.addresses[0])
    t.strictSame(await ports.differences(), [])
    leases.release('second', 'eth0')
    await ports.withdraw(second)
    t.equal(await destinationOf(81), undefined)
  },
)

t.test('an address that nft writes with dots at its end is the same address', async (t) => {
  const { leases, ports, lease } = node()
  const pod = lease('pod', web('::c000:201'))
  await ports.publish(pod)
  t.match((await capture('nft', ['list', 'ruleset'])).stdout, /::192\.0\.2\.1 \. tcp \. 80/)
  t.strictSame(await ports.differences(), [])
  leases.release('pod', 'eth0')
  await ports.withdraw(pod)
})
