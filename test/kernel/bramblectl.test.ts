import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parseNodeObject } from '../../agent/cluster/node-object.ts'
import { parseOne } from '../../agent/cluster/yaml.ts'
import { Agent, until } from './agent.ts'
import { addUplink, linkNames, NODE } from './node.ts'
import { Pod } from './pod.ts'
import { capture, enterScratchNode, type Output, run } from './scratch.ts'

/** The built bramblectl against a real agent: what people see, and what scripts go by. */
const BRAMBLECTL = fileURLToPath(new URL('../../dist/bin/bramblectl', import.meta.url))

await enterScratchNode()
await addUplink()
const agent = await Agent.start({ podCidrs: ['10.42.0.0/29', 'fd42::/64'] })
t.after(() => agent.stop())

t.test('without pods it says so', async (t) => {
  t.match(await bramblectl('pods'), { exitCode: 0, stdout: 'no pod has an address from this agent\n', stderr: '' })
  t.strictSame(await json('pods'), [])
  t.match(await bramblectl('ipam', 'check'), { exitCode: 0, stdout: 'leases and kernel agree\n' })
})

t.test('pods: addresses, links, containers', async (t) => {
  const web = await Pod.add({ args: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web', name: 'a'.repeat(62) })
  const plain = await Pod.add()
  const { exitCode, stdout } = await bramblectl('pods')
  t.equal(exitCode, 0)
  t.match(stdout, /^POD +INTERFACE +ADDRESSES +LINK +CONTAINER +NETWORK$/m)
  t.match(
    stdout,
    new RegExp(`^shop/web +eth0 +${web.addresses.join(' ')} +${web.hostLink} +a{13}\\.\\.\\. +bramble$`, 'm'),
  )
  t.match(
    stdout,
    new RegExp(`^- +eth0 +${plain.addresses.join(' ')} +${plain.hostLink} +${plain.containerId} +bramble$`, 'm'),
  )
  t.strictSame(await json('pods'), [
    {
      pod: 'shop/web',
      ifname: 'eth0',
      addresses: web.addresses,
      link: web.hostLink,
      containerId: web.containerId,
      network: 'bramble',
    },
    {
      pod: '',
      ifname: 'eth0',
      addresses: plain.addresses,
      link: plain.hostLink,
      containerId: plain.containerId,
      network: 'bramble',
    },
  ])
  for (const pod of [web, plain]) await pod.del()
})

t.test('ipam: used, cooling, free', async (t) => {
  const pods = await Promise.all([Pod.add(), Pod.add(), Pod.add()])
  await pods[0]?.del()
  const [ipv4, ipv6] = await json('ipam')
  t.match(ipv4, { cidr: '10.42.0.0/29', capacity: 7, used: 2 })
  t.equal(ipv4.used + ipv4.cooling + ipv4.free, ipv4.capacity)
  t.ok(ipv4.cooling >= 1)
  t.match(ipv6, { cidr: 'fd42::/64', used: 2 })
  t.match((await bramblectl('ipam')).stdout, /^10\.42\.0\.0\/29 +7 +2 +\d +\d +29 % █+░+$/m)
  for (const pod of pods) await pod.del()
})

t.test('status: good, and with exit code 1 when no address is left', async (t) => {
  t.match(await bramblectl('status'), { exitCode: 0, stdout: /^health +good$/m })
  t.match(await json('status'), {
    nodeName: 'n1',
    pid: agent.child.pid,
    datastore: 'local',
    podCidrs: ['10.42.0.0/29', 'fd42::/64'],
    mtuBytes: 1500,
    pods: 0,
    problems: [],
  })
  const pods = await Promise.all(Array.from({ length: 7 }, () => Pod.add()))
  const full = 'no address is free in 10.42.0.0/29: all 7 are held'
  t.match(await bramblectl('status'), { exitCode: 1, stdout: new RegExp(`^health +${full} \\(since \\d+ s\\)$`, 'm') })
  t.match(await bramblectl('status', '-o', 'json'), { exitCode: 1 })
  await Promise.all(pods.map((pod) => pod.del()))
  t.match(await bramblectl('status'), { exitCode: 0 })
})

t.test('node manifest: this node for the folder of manifests, though nobody has written one yet', async (t) => {
  const { exitCode, stdout } = await bramblectl('node', 'manifest')
  t.equal(exitCode, 0)
  t.match(parseNodeObject(parseOne(stdout)), {
    name: 'n1',
    podCidrs: [{ text: '10.42.0.0/29' }, { text: 'fd42::/64' }],
    addresses: Object.values(NODE),
    announcement: { encapsulations: ['vxlan'] }, // which it has tried
  })
  t.match(await json('node', 'manifest'), { kind: 'Node', metadata: { name: 'n1' } })
})

t.test('ipam check: names every difference between leases and kernel, and ends with 1', async (t) => {
  const [routeless, other] = await Promise.all([Pod.add(), Pod.add()])
  await until(
    'no removed link is left',
    async () => (await linkNames()).filter((name) => /^brm/.test(name)).length === 2,
  )
  const [ipv4 = '', ipv6 = ''] = routeless.addresses
  // What is deleted the agent puts back; what another program has put in its place stays.
  await run('ip', 'route', 'replace', `${ipv4}/32`, 'dev', 'uplink', 'proto', 'static')
  await run('ip', '-6', 'route', 'replace', `${ipv6}/128`, 'dev', 'uplink', 'proto', 'static')
  await run('ip', 'route', 'add', '10.99.0.1/32', 'dev', 'uplink', 'proto', '98')
  await run('ip', 'route', 'add', '10.99.0.2/32', 'dev', 'uplink') // not by our protocol: not ours
  await run('ip', 'link', 'add', 'brm0123456789ab', 'group', String(0x62726d01), 'type', 'veth', 'peer', 'whose')
  await run('ip', 'link', 'add', 'brmba9876543210', 'type', 'veth', 'peer', 'whose-else') // not in our group
  const expected = [
    `address ${ipv4} of eth0 of container ${routeless.containerId} has no route to ${routeless.hostLink}`,
    `address ${ipv6} of eth0 of container ${routeless.containerId} has no route to ${routeless.hostLink}`,
    'link brm0123456789ab has no lease',
    'route 10.99.0.1/32 over uplink has no lease',
  ]
  const { exitCode, stdout, stderr } = await bramblectl('ipam', 'check')
  t.equal(exitCode, 1)
  t.equal(stderr, '')
  t.equal(stdout, ['4 differences between leases and kernel:', ...expected.map((line) => `  ${line}`), ''].join('\n'))
  const inJson = await bramblectl('ipam', 'check', '-o', 'json')
  t.equal(inJson.exitCode, 1)
  t.strictSame(JSON.parse(inJson.stdout), expected)

  await run('ip', 'route', 'delete', `${ipv4}/32`, 'dev', 'uplink')
  await run('ip', '-6', 'route', 'delete', `${ipv6}/128`, 'dev', 'uplink')
  await run('ip', 'route', 'delete', '10.99.0.1/32')
  await run('ip', 'link', 'delete', 'brm0123456789ab')
  await until('it is content when all is put right', async () => (await bramblectl('ipam', 'check')).exitCode === 0)
  for (const pod of [routeless, other]) await pod.del()
})

t.test('a wrong command line ends with 2, one line, and says what there is', async (t) => {
  const wrong = { '': 'no command', 'ipam chekc': '"ipam chekc" is no command', 'pods --colour': 'colour' }
  for (const [line, words] of Object.entries(wrong)) {
    const { exitCode, stdout, stderr } = await bramblectl(...line.split(' ').filter(Boolean))
    t.equal(exitCode, 2, line)
    t.equal(stdout, '')
    t.match(stderr, words)
    t.equal(stderr.trim().split('\n').length, 1)
  }
  t.match(await bramblectl('--help'), { exitCode: 0, stdout: /ipam check/ })
})

t.test('when the agent is away it ends with 1 and says how to see why', async (t) => {
  for (const command of ['status', 'pods', 'ipam', 'ipam check'])
    t.match(await bramblectl(...command.split(' '), '--socket', '/run/nobody.sock'), {
      exitCode: 1,
      stdout: '',
      stderr:
        'bramblectl: no agent listens on /run/nobody.sock; is it running? try: systemctl status bramble-agent, or kubectl -n kube-system get pods -o wide\n',
    })
  t.match(await capture('env', ['BRAMBLE_SOCKET=/run/other.sock', BRAMBLECTL, 'pods']), { stderr: '/run/other.sock' })
})

t.test('the socket is for root alone', async (t) => {
  t.match(
    await run('stat', '-c', '%a %u %F', '/run/bramble/agent.sock', '/run/bramble'),
    /^600 0 socket\n700 0 directory\n$/,
  )

  await run('chmod', '755', '/run/bramble')
  t.match(await asNobody('pods'), { exitCode: 1, stdout: '', stderr: /sudo bramblectl/ }, 'by its mode')

  await run('chmod', '666', '/run/bramble/agent.sock')
  const refused = await asNobody('pods')
  t.match(refused, { exitCode: 1, stdout: '' }, 'and when that is loosened, by who calls')
  const refusals = () => agent.log.filter(({ msg }) => msg === 'refused a caller that is not root')
  await until('the log tells', () => refusals().length > 0)
  t.match(refusals(), [{ uid: 65534 }])
  t.match(await bramblectl('pods'), { exitCode: 0 }, 'root is served as before')
})

t.end()

function bramblectl(...args: readonly string[]): Promise<Output> {
  return capture(BRAMBLECTL, args)
}

async function json(...args: readonly string[]) {
  const { exitCode, stdout } = await bramblectl(...args, '-o', 'json')
  t.equal(exitCode, 0)
  return JSON.parse(stdout)
}

function asNobody(...args: readonly string[]): Promise<Output> {
  return capture('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', BRAMBLECTL, ...args])
}
