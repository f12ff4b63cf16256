import { readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Agent } from './agent.ts'
import { until } from './agent.ts'
import { addPodOn, inside, type LabNode, makeLans, N1, N2, N3, plugIn, reaches, spawnMember } from './cluster.ts'
import { RedisServer } from './redis-server.ts'
import { enterScratchNode, run } from './scratch.ts'

/*
 * A cluster without Kubernetes: three hosts, two on one LAN and one behind a router, that know of each other from a
 * Redis on the router. Nobody tells them a pod CIDR.
 */
await enterScratchNode()
await makeLans()
const NODES = [N1, N2, N3]
for (const node of NODES) await plugIn(node)
const redis = new RedisServer('192.168.1.254', 6379, '/run/redis')
const ARGS = [
  '--datastore=redis',
  `--redis-url=${redis.url}`,
  '--cluster-cidr=10.42.0.0/16',
  '--cluster-cidr=fd42::/48',
]
const agents = new Map<string, Agent>()
const addresses = new Map<string, readonly string[]>()
const agentOf = (name: string) => agents.get(name) as Agent
const problems = async (name: string) => (await agentOf(name).ask('status')).problems
const BRAMBLECTL = fileURLToPath(new URL('../../bin/bramblectl.ts', import.meta.url))
const ctl = (name: string, ...words: string[]) =>
  inside(name, 'env', `BRAMBLE_SOCKET=/run/bramble-${name}/agent.sock`, process.execPath, BRAMBLECTL, ...words)

t.test('agents that find no Redis wait for it, and say so', async (t) => {
  for (const node of NODES) agents.set(node.name, spawnMember(node, ...ARGS))
  await until('it says what it waits for', async () => {
    const { stdout } = await ctl('n1', 'status')
    return stdout.includes('waits for its pod CIDR') && stdout.includes('redis://192.168.1.254:6379: not reachable')
  })
  const { exitCode, stderr } = await ctl('n1', 'node', 'remove', 'n9')
  t.equal(exitCode, 1, 'nothing else is answered meanwhile')
  t.match(stderr, 'waits for its pod CIDR')
  await redis.start()
  for (const { name } of NODES) await agentOf(name).ready()
  // Its second connection, for the changes, comes back when it comes back.
  await until('nothing is amiss', async () => (await problems('n1')).length === 0)
})

t.test('a cluster CIDR that holds the LAN is refused before anything is taken', async (t) => {
  const lan: LabNode = { name: 'n4', number: 4, lan: 'a' }
  await plugIn(lan)
  const agent = spawnMember(lan, '--datastore=redis', `--redis-url=${redis.url}/1`, '--cluster-cidr=192.168.0.0/16')
  await until('it is told', async () => {
    const { stdout } = await ctl('n4', 'status')
    return stdout.includes('--cluster-cidr 192.168.0.0/16 overlaps 192.168.1.0/24, the network on eth0')
  })
  await agent.stop()
  t.pass()
})

t.test('each has pod CIDRs of its own, and all pods reach each other', async (t) => {
  for (const node of NODES) {
    await until(`${node.name} knows the others`, async () => (await agentOf(node.name).ask('nodes')).length === 2)
    await addPodOn(node)
    const [pod] = await agentOf(node.name).ask('pods')
    addresses.set(node.name, pod?.addresses ?? [])
  }
  t.equal(new Set([...addresses.values()].flat().map((address) => address.replace(/[:.]\d*$/, ''))).size, 6)
  for (const from of NODES)
    for (const to of NODES)
      for (const address of addresses.get(to.name) ?? [])
        if (from !== to)
          await until(`${from.name} reaches ${address}`, () => reaches(`pod-${from.name}`, address, 1450))
  t.pass()
})

t.test('other pod CIDRs that somebody writes into its Node are put right by its agent, which stays', async (t) => {
  const text = async () => (await run('redis-cli', '-u', redis.url, 'hget', 'bramble:nodes', 'n2')).trim()
  const before = await text()
  const liar = before.replace(/10\.42\.\d+\.0/, '10.42.77.0')
  t.not(liar, before)
  await run('redis-cli', '-u', redis.url, 'hset', 'bramble:nodes', 'n2', liar)
  await run('redis-cli', '-u', redis.url, 'xadd', 'bramble:changes', '*', 'any', 'thing')
  await until('it is as it was', async () => (await text()) === before)
  const [ipv4 = ''] = addresses.get('n2') ?? []
  await until('n1 has its route', () => reaches('pod-n1', ipv4))
  t.equal(agentOf('n2').child.exitCode, null)
  t.ok((await agentOf('n2').ask('status')).peers === 2)
})

t.test('Redis is killed: pods talk, start and stop as before, and status says so', async (t) => {
  await redis.stop('SIGKILL')
  await until('it is noticed', async () => (await problems('n1')).some((one) => /not reachable/.test(one)), 15_000)
  t.match((await problems('n1'))[0], /^redis:\/\/192\.168\.1\.254:6379: .*the last view stays in force/)
  t.ok(await reaches('pod-n1', addresses.get('n3')?.[0] ?? ''))
})

t.test('an agent that starts meanwhile goes on from what it knew', async (t) => {
  await until('what it knows is on tmpfs', () => {
    const kept = readFileSync('/run/bramble-n1/view.json', 'utf8')
    return NODES.every(({ name }) => kept.includes(`"${name}"`))
  })
  const before = (await inside('n1', 'ip', 'route')).stdout
  await agentOf('n1').stop('SIGKILL')
  agents.set('n1', spawnMember(NODES[0] as LabNode, ...ARGS))
  await agentOf('n1').ready()
  t.equal((await agentOf('n1').ask('nodes')).length, 2)
  t.same((await agentOf('n1').ask('pods'))[0]?.addresses, addresses.get('n1'))
  t.equal((await inside('n1', 'ip', 'route')).stdout, before)
})

t.test('Redis comes back empty: every node has what it had', async (t) => {
  await redis.start()
  for (const { name } of NODES) await until(`${name} is well`, async () => (await problems(name)).length === 0, 20_000)
  for (const { name } of NODES) {
    await until(`${name} knows the others`, async () => (await agentOf(name).ask('nodes')).length === 2)
    t.same(
      (await agentOf(name).ask('ipam')).map(({ used }) => used),
      [1, 1],
    )
  }
  t.ok(await reaches('pod-n2', addresses.get('n3')?.[0] ?? ''))
})

t.test('a node that is gone for good is removed by hand, and its routes go everywhere', async (t) => {
  await agentOf('n3').stop('SIGTERM')
  await until('n3 is removed', async () => {
    const { exitCode } = await ctl('n1', 'node', 'remove', 'n3', '--force')
    return exitCode === 0
  })
  for (const name of ['n1', 'n2'])
    await until(`${name} has forgotten it`, async () => (await agentOf(name).ask('nodes')).length === 1)
  t.notMatch((await inside('n1', 'ip', 'route')).stdout, 'bramble.vxlan')
  rmSync('/run/bramble-n3', { recursive: true })
})

t.teardown(async () => {
  await Promise.all([...agents.values()].map((agent) => agent.stop('SIGKILL')))
  await redis.stop('SIGKILL')
})
