import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Agent, until } from './agent.ts'
import { startContainerd } from './containerd/daemon.ts'
import { type Pod, type PodOptions, ping, startPod } from './containerd/pod.ts'
import { traces } from './containerd/traces.ts'
import { capture, enterScratchNode, run } from './scratch.ts'

/**
 * A whole node, with room for three pods: a real containerd with runc, the built plugin and an agent, called through
 * CRI as kubelet calls it. What containerd itself does is pinned too, where we rely on it (1.6).
 */
const AGENT = { podCidrs: ['10.42.0.0/30', 'fd42::/64'] }
const NODE_ADDRESSES = ['192.0.2.10', '2001:db8::10']
const CONFLIST = { cniVersion: '1.0.0', name: 'bramble', plugins: [{ type: 'bramble' }] }
const CONFLISTS = {
  default: CONFLIST,
  recorded: { ...CONFLIST, plugins: [{ type: 'recorder.sh' }] },
  chained: { ...CONFLIST, plugins: [{ type: 'bramble' }, { type: 'portmap', capabilities: { portMappings: true } }] },
  publishing: { ...CONFLIST, plugins: [{ type: 'bramble', capabilities: { portMappings: true } }] },
}
const BIN = join(import.meta.dirname, '../../dist/bin')
const ANSWERED = { exitCode: 0 }

await enterScratchNode()
await addUplink()
let agent = await Agent.start(AGENT)
t.after(() => agent.stop())
const bare = await nodeState()
const containerd = await startContainerd({
  plugins: [join(BIN, 'bramble'), join(import.meta.dirname, 'containerd/recorder.sh'), '/usr/lib/cni/portmap'],
  conflists: CONFLISTS,
}).catch(async (error: unknown) => {
  await agent.stop()
  throw error
})
t.after(async () => {
  if (!t.passing()) t.comment(containerd.log())
  await containerd.stop()
})

/** What this node and its pods alone have: by it they are found on the machine. */
const marks = new Set([containerd.cgroup, readlinkSync('/proc/self/ns/net')])

t.test('a sandbox has the addresses that its status reports, at once', async (t) => {
  const pod = await start(t, 'web')
  t.match(pod.addresses, [/^10\.42\.0\.[123]$/, /^fd42::/])
  const { stdout } = await pod.run('ip', '-json', 'address', 'show', 'eth0')
  const addresses = JSON.parse(stdout)[0].addr_info as {
    local: string
    prefixlen: number
    scope: string
    tentative?: true
  }[]
  t.strictSame(
    addresses.filter(({ scope }) => scope === 'global').map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    [`${pod.addresses[0]}/32`, `${pod.addresses[1]}/128`],
  )
  t.notOk(
    addresses.some(({ tentative }) => tentative),
    'none waits for duplicate address detection',
  )
})

t.test('a sandbox sends everything to its gateway, and the node knows the way to it', async (t) => {
  const pod = await start(t, 'web')
  t.strictSame(lines((await pod.run('ip', 'route')).stdout), [
    'default via 169.254.1.1 dev eth0',
    '169.254.1.1 dev eth0 scope link',
  ])
  t.match((await pod.run('ip', '-6', 'route', 'show', 'default')).stdout, /^default via fe80::\S+ dev eth0/)
  for (const address of pod.addresses) t.match(await run('ip', 'route', 'get', address), / dev brm[0-9a-f]{12} /)
})

t.test('node and pods reach each other, over IPv4 and IPv6', async (t) => {
  const [web, db] = await Promise.all([start(t, 'web'), start(t, 'db')])
  for (const address of web.addresses)
    t.match(await capture('busybox', ping(address)), ANSWERED, `the node reaches ${address}`)
  for (const address of NODE_ADDRESSES)
    t.match(await web.run('busybox', ...ping(address)), ANSWERED, `a pod reaches ${address}`)
  for (const address of db.addresses)
    t.match(await web.run('busybox', ...ping(address)), ANSWERED, `a pod reaches ${address}`)
})

t.test('a container runs in the network of its sandbox', async (t) => {
  const [web, db] = await Promise.all([start(t, 'web'), start(t, 'db')])
  const exec = await web.startContainer()
  const { stdout } = await exec('busybox', 'ip', 'address', 'show', 'dev', 'eth0')
  for (const address of web.addresses) t.match(stdout, ` ${address}/`)
  for (const address of db.addresses) t.match(await exec('busybox', ...ping(address)), ANSWERED)
})

t.test(
  'containerd tells the plugin whose sandbox it is, and deletes it twice, the second time without a namespace',
  async (t) => {
    const pod = await start(t, 'web', { runtimeHandler: 'recorded' })
    await pod.remove()
    const calls = recordedCalls()
    t.strictSame(
      calls.map(({ CNI_COMMAND, CNI_NETNS }) => [CNI_COMMAND, CNI_NETNS]),
      [
        ['ADD', pod.netnsPath],
        ['DEL', pod.netnsPath],
        ['DEL', ''],
      ],
    )
    for (const call of calls) {
      t.strictSame([call.CNI_CONTAINERID, call.CNI_IFNAME], [pod.id, 'eth0'])
      t.strictSame(call.CNI_ARGS?.split(';').sort(), [
        'IgnoreUnknown=1',
        `K8S_POD_INFRA_CONTAINER_ID=${pod.id}`,
        'K8S_POD_NAME=web',
        'K8S_POD_NAMESPACE=shop',
        'K8S_POD_UID=uid-of-web',
      ])
    }
  },
)

t.test('bramblectl shows the sandbox under the name of its pod', async (t) => {
  const { id, addresses } = await start(t, 'web')
  const rows = JSON.parse(await run(join(BIN, 'bramblectl'), 'pods', '-o', 'json'))
  t.match(rows, [{ pod: 'shop/web', ifname: 'eth0', addresses, containerId: id, network: 'bramble' }])
})

t.test(
  'a plugin chained behind opens a port of the node to the pod',
  {
    skip: !existsSync('/usr/sbin/iptables') && 'portmap needs iptables',
  },
  async (t) => {
    const pod = await start(t, 'web', {
      runtimeHandler: 'chained',
      portMappings: [{ protocol: 'TCP', hostPort: 8080, containerPort: 80 }],
    })
    await pod.startContainer('busybox', 'httpd', '-f', '-p', '80', '-h', '/etc')
    const hostname = async () => (await fetch('http://192.0.2.10:8080/hostname')).text()
    await until('the web server answers', () => hostname().then(Boolean, () => false))
    t.equal(await hostname(), 'web\n')
  },
)

t.test('hostPorts of the runtime lead to the pod, and nowhere once it is gone', async (t) => {
  const pod = await start(t, 'web', {
    runtimeHandler: 'publishing',
    portMappings: [{ protocol: 'TCP', hostPort: 8080, containerPort: 80 }],
  })
  await pod.startContainer('busybox', 'httpd', '-f', '-p', '80', '-h', '/etc')
  const hostname = async (address: string) => (await fetch(`http://${address}:8080/hostname`)).text()
  await until('the web server answers', () => hostname('192.0.2.10').then(Boolean, () => false))
  t.equal(await hostname('192.0.2.10'), 'web\n')
  t.equal(await hostname('127.0.0.1'), 'web\n')
  const rows = JSON.parse(await run(join(BIN, 'bramblectl'), 'pods', '-o', 'json'))
  t.match(rows, [{ hostPorts: [{ protocol: 'tcp', hostIp: '', hostPort: 8080, containerPort: 80 }] }])
  t.match(await run(join(BIN, 'bramblectl'), 'pods'), /HOST PORTS\n.* 8080->80\/tcp$/m)
  await t.rejects(
    start(t, 'rival', {
      runtimeHandler: 'publishing',
      portMappings: [{ protocol: 'TCP', hostPort: 8080, containerPort: 80 }],
    }),
    { message: /tcp port 8080 of the node leads to shop\/web already/ },
  )
  await pod.remove()
  await t.rejects(hostname('192.0.2.10'))
})

t.test('a sandbox that finds no free address fails with the words of the agent, and leaves nothing', async (t) => {
  for (const name of ['one', 'two', 'three']) await start(t, name)
  const full = await nodeState()
  const earlierCalls = recordedCalls().length
  await t.rejects(start(t, 'four', { runtimeHandler: 'recorded' }), {
    message: /no address is free in 10\.42\.0\.0\/30: all 3 are held.*held by shop\/one/,
  })
  t.match(recordedCalls().slice(earlierCalls), [
    { CNI_COMMAND: 'ADD', CNI_NETNS: /./ },
    { CNI_COMMAND: 'DEL', CNI_NETNS: /./ },
  ])
  t.equal((await containerd.cri.podSandboxIds()).length, 3)
  await settles(t, full)
})

t.test('the address of a removed sandbox is given out at once when no other is free', async (t) => {
  const [one] = await Promise.all([start(t, 'one'), start(t, 'two'), start(t, 'three')])
  await one.remove()
  t.equal((await start(t, 'four')).addresses[0], one.addresses[0])
})

t.test('a sandbox that starts while the agent is restarted waits for it', async (t) => {
  await agent.stop()
  const starting = start(t, 'web')
  agent = await Agent.start(AGENT)
  t.equal((await starting).addresses.length, 2)
})

t.test('a sandbox is removed while the agent is away, and the next agent frees its addresses', async (t) => {
  const pod = await start(t, 'web')
  await agent.stop()
  await pod.remove()
  t.strictSame(await containerd.cri.podSandboxIds(), [])
  agent = await Agent.start(AGENT)
  t.strictSame(await agent.ask('pods'), [])
})

t.test('removed sandboxes leave nothing on the node', async (t) => {
  t.strictSame(await containerd.cri.podSandboxIds(), [])
  await settles(t, bare)
  t.strictSame(await agent.ask('pods'), [])
  t.strictSame(await agent.ask('ipam check'), [])
})

t.test('when all is over, nothing is left on the machine', async (t) => {
  t.ok((await traces([...marks])).length > 0, 'traces() finds what is still there')
  await containerd.stop()
  await agent.stop()
  await until('its last processes are gone', async () => (await traces([...marks])).length === 0).catch(() => {})
  t.strictSame(await traces([...marks]), [])
})

/** A pod that is removed, as kubelet would, when its test is over. */
async function start(t: Test, name: string, options: PodOptions = {}): Promise<Pod> {
  const pod = await startPod(containerd, name, options)
  t.after(() => pod.remove())
  for (const mark of pod.marks) marks.add(mark)
  return pod
}

/** The link by which the node would reach others; nobody is at its other end. */
async function addUplink(): Promise<void> {
  await run('ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'switch')
  for (const link of ['uplink', 'switch']) await run('ip', 'link', 'set', link, 'up')
  await run('ip', 'address', 'add', '192.0.2.10/24', 'dev', 'uplink')
  await run('ip', 'address', 'add', '2001:db8::10/64', 'dev', 'uplink', 'nodad')
  await run('ip', 'route', 'add', 'default', 'via', '192.0.2.1')
  await run('ip', 'route', 'add', 'default', 'via', '2001:db8::1')
}

async function nodeState(): Promise<Record<string, readonly string[]>> {
  const links = JSON.parse(await run('ip', '-json', 'link')) as { ifname: string }[]
  return {
    links: links.map(({ ifname }) => ifname),
    routes: lines(await run('ip', '-4', 'route', 'show', 'table', 'all', 'type', 'unicast')),
    routes6: lines(await run('ip', '-6', 'route', 'show', 'table', 'all', 'type', 'unicast')),
    rules: lines(await run('ip', '-4', 'rule')),
    rules6: lines(await run('ip', '-6', 'rule')),
    neighbours: lines(await run('ip', 'neighbour', 'show', 'nud', 'permanent')),
    namespaces: readdirSync('/run/netns'),
  }
}

/** The kernel takes a pod's link away in its own time. */
async function settles(t: Test, expected: object): Promise<void> {
  const isSettled = async () => JSON.stringify(await nodeState()) === JSON.stringify(expected)
  await until('the node is as it was', isSettled).catch(() => {}) // the difference says more than the timeout
  t.strictSame(await nodeState(), expected)
}

/** The environment of every call that recorder.sh wrote down. */
function recordedCalls(): Record<string, string>[] {
  return readdirSync('/run/cni-calls')
    .sort()
    .map((call) => lines(readFileSync(`/run/cni-calls/${call}/env`, 'utf8')))
    .map((env) =>
      Object.fromEntries(env.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)])),
    )
}

function lines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}
