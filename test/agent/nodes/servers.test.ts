import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { refuseServers } from '../../../agent/nodes/overlap.ts'
import { serversOf } from '../../../agent/nodes/servers.ts'
import { parseCidr } from '../../../ipam/address.ts'

const source = (host: string) => ({ server: { name: 'redis://…', host } })

t.test('the source by its address, and those who are asked for names', async (t) => {
  const path = join(t.testdir(), 'resolv.conf')
  writeFileSync(path, '# nameserver 9.9.9.9\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver none\n')
  t.same(
    [...serversOf(source('10.0.0.5'), path)],
    [
      ['192.0.2.53', `a DNS server in ${path}`],
      ['fe80::1', `a DNS server in ${path}`],
      ['10.0.0.5', 'redis://…'],
    ],
  )
})

t.test('a name is no address, and without resolv.conf there is nobody to ask', async (t) => {
  const path = join(t.testdir(), 'resolv.conf')
  t.equal(serversOf(source('redis.home'), path).size, 0)
  t.equal(serversOf({}, path).size, 0)
})

t.test('a pod CIDR that holds one is refused with the reason, one beside it is not', async (t) => {
  const servers = new Map([['10.0.0.5', 'the API server https://10.0.0.5:6443']])
  refuseServers([parseCidr('10.0.1.0/24')], servers)
  t.throws(() => refuseServers([parseCidr('10.0.0.0/24')], servers), {
    code: 'OVERLAP',
    message:
      'the pod CIDR 10.0.0.0/24 of this node holds 10.0.0.5, the API server https://10.0.0.5:6443; give other addresses to the pods',
  })
})
