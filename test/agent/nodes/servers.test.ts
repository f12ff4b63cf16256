import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { refuseServers } from '../../../agent/nodes/overlap.ts'
import { ServerLookup } from '../../../agent/nodes/servers.ts'
import { parseCidr } from '../../../ipam/address.ts'

const source = (host: string) => ({ server: { name: 'redis://…', host } })
const NOWHERE = '/nowhere/resolv.conf'

t.test('the source by its address, and those who are asked for names', async (t) => {
  const resolvConf = join(t.testdir(), 'resolv.conf')
  writeFileSync(resolvConf, '# nameserver 9.9.9.9\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver none\n')
  const { known } = new ServerLookup(source('10.0.0.5'), { resolvConf })
  t.same(
    [...known],
    [
      ['192.0.2.53', `a DNS server in ${resolvConf}`],
      ['fe80::1', `a DNS server in ${resolvConf}`],
      ['10.0.0.5', 'redis://…'],
    ],
  )
})

t.test('without a server and without resolv.conf there is nobody to ask', async (t) => {
  t.equal((await new ServerLookup({}, { resolvConf: NOWHERE }).asked()).size, 0)
})

t.test('a name is looked up as all programs do it: this machine knows its own', async (t) => {
  const servers = await new ServerLookup(source('localhost'), { resolvConf: NOWHERE }).asked()
  t.ok(servers.size > 0)
  for (const [address, what] of servers) t.match([address, what], [/^(127\.0\.0\.1|::1)$/, 'redis://…'])
})

t.test('all addresses of a name count; where nobody knows it any more, those that it had', async (t) => {
  let answer: readonly string[] | undefined = ['10.42.0.5', 'fd00::5']
  let news = 0
  const addressesOf = async () => answer ?? Promise.reject(new Error('ENOTFOUND'))
  const options = { resolvConf: NOWHERE, addressesOf, onNews: () => news++ }
  const lookup = new ServerLookup(source('redis.home'), options)
  t.equal(lookup.known.size, 0, 'not yet')
  t.same([...(await lookup.asked()).keys()], ['10.42.0.5', 'fd00::5'])
  answer = undefined
  t.equal((await lookup.asked()).size, 2)
  t.equal(news, 1)
  answer = ['10.42.0.6']
  t.same([...(await lookup.asked()).keys()], ['10.42.0.6'])
  t.equal(news, 2, 'who decided by the old ones decides again')
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
