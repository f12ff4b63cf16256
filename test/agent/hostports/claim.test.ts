import t from 'tap'
import { claimPorts } from '../../../agent/hostports/claim.ts'
import type { HostPort } from '../../../ipam/host-port.ts'
import type { Lease } from '../../../ipam/leases.ts'
import { CNI_ERROR, type CniError } from '../../../plugin/errors.ts'

const WEB: HostPort = { protocol: 'tcp', hostIp: '', hostPort: 80, containerPort: 8080 }
const lease = (change: Partial<Lease> = {}): Lease => ({
  containerId: 'c1',
  ifname: 'eth0',
  network: 'pods',
  pod: 'shop/web',
  addresses: ['10.42.0.7'],
  hostPorts: [WEB],
  ...change,
})

const claim = (owner: Parameters<typeof claimPorts>[0], held: readonly Lease[], families: readonly (4 | 6)[]) =>
  claimPorts(owner, { held, families, tunnelPorts: [4789] })

function refusal(port: Partial<HostPort>, held: readonly Lease[], families: readonly (4 | 6)[] = [4, 6]): CniError {
  try {
    claim({ containerId: 'c2', hostPorts: [{ ...WEB, ...port }] }, held, families)
  } catch (error) {
    return error as CniError
  }
  throw new Error('it is not refused')
}

t.test('as with sockets, any address takes all of its family', async (t) => {
  const at = (hostIp: string) => lease({ hostPorts: [{ ...WEB, hostIp }] })
  const pairs = [
    ['', ''],
    ['', '192.0.2.1'],
    ['2001:db8::1', ''],
    ['0.0.0.0', '192.0.2.1'],
    ['::', '2001:db8::1'],
    ['192.0.2.1', '192.0.2.1'],
  ] as const
  for (const [held, wanted] of pairs)
    t.match(refusal({ hostIp: wanted }, [at(held)]), {
      code: CNI_ERROR.tryAgainLater,
      message: /leads to shop\/web already$/,
    })
  for (const [held, wanted] of [
    ['192.0.2.1', '192.0.2.2'],
    ['0.0.0.0', '::'],
    ['0.0.0.0', '2001:db8::1'],
  ] as const)
    t.equal(claim({ containerId: 'c2', hostPorts: [{ ...WEB, hostIp: wanted }] }, [at(held)], [4, 6]).length, 1)
})

t.test('a pod without a name is told by its container', async (t) => {
  t.match(refusal({}, [lease({ pod: '' })]).message, 'leads to container c1 already')
})

t.test('another protocol or number is free, and what the container has already is not given twice', async (t) => {
  const wanted = [{ ...WEB, protocol: 'udp' } as const, { ...WEB, hostPort: 81 }]
  t.strictSame(claim({ containerId: 'c2', hostPorts: wanted }, [lease()], [4]), wanted)
  t.strictSame(claim({ containerId: 'c1', hostPorts: [WEB, ...wanted] }, [lease()], [4]), wanted)
})

t.test('an address of a family that pods do not have is refused; a wildcard is not', async (t) => {
  t.match(refusal({ hostIp: '2001:db8::1' }, [], [4]), {
    code: CNI_ERROR.invalidConfig,
    message: 'tcp port 80 of 2001:db8::1 leads nowhere: pods of this node have no IPv6 address',
    details: /IPv6 pod CIDR/,
  })
  t.equal(claim({ containerId: 'c2', hostPorts: [{ ...WEB, hostIp: '::' }] }, [], [4]).length, 1)
})

t.test("where a tunnel of the node ends is no pod's, and of another protocol is", async (t) => {
  t.match(refusal({ protocol: 'udp', hostPort: 4789, hostIp: '192.0.2.1' }, []), {
    code: CNI_ERROR.invalidConfig,
    message: 'udp port 4789 of 192.0.2.1 of the node is where its tunnel to other nodes ends',
    details: /another hostPort.*--vxlan-port/,
  })
  const others = [{ ...WEB, hostPort: 4789 }, { ...WEB, protocol: 'udp', hostPort: 51820 } as const]
  t.strictSame(claim({ containerId: 'c2', hostPorts: others }, [], [4]), others)
})
