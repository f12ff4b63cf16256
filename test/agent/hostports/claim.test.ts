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

function refusal(port: Partial<HostPort>, held: readonly Lease[], families: readonly (4 | 6)[] = [4, 6]): CniError {
  try {
    claimPorts({ containerId: 'c2', hostPorts: [{ ...WEB, ...port }] }, held, families)
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
    t.equal(claimPorts({ containerId: 'c2', hostPorts: [{ ...WEB, hostIp: wanted }] }, [at(held)], [4, 6]).length, 1)
})

t.test('a pod without a name is told by its container', async (t) => {
  t.match(refusal({}, [lease({ pod: '' })]).message, 'leads to container c1 already')
})

t.test('another protocol or number is free, and what the container has already is not given twice', async (t) => {
  const wanted = [{ ...WEB, protocol: 'udp' } as const, { ...WEB, hostPort: 81 }]
  t.strictSame(claimPorts({ containerId: 'c2', hostPorts: wanted }, [lease()], [4]), wanted)
  t.strictSame(claimPorts({ containerId: 'c1', hostPorts: [WEB, ...wanted] }, [lease()], [4]), wanted)
})

t.test('an address of a family that pods do not have is refused; a wildcard is not', async (t) => {
  t.match(refusal({ hostIp: '2001:db8::1' }, [], [4]), {
    code: CNI_ERROR.invalidConfig,
    message: 'tcp port 80 of 2001:db8::1 leads nowhere: pods of this node have no IPv6 address',
    details: /IPv6 pod CIDR/,
  })
  t.equal(claimPorts({ containerId: 'c2', hostPorts: [{ ...WEB, hostIp: '::' }] }, [], [4]).length, 1)
})
