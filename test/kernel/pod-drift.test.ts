import t from 'tap'
import { Agent, until } from './agent.ts'
import { Pod } from './pod.ts'
import { capture, enterScratchNode, run } from './scratch.ts'

/* What somebody does to a pod's side on the node is undone while the agent runs; what is another program's stays. */
await enterScratchNode()
const agent = await Agent.start()
const pod = await Pod.add()
const [{ link = '' } = {}] = await agent.ask('pods')
const [ipv4 = '', ipv6 = ''] = (await agent.ask('pods'))[0]?.addresses ?? []
const show = async () => {
  const commands = [
    ['ip', 'route', 'show', 'dev', link],
    ['ip', '-6', 'route', 'show', 'dev', link],
    ['ip', 'neighbour', 'show', 'dev', link],
    ['ip', '-o', 'address', 'show', 'dev', link],
    ['ip', '-o', 'link', 'show', 'dev', link],
  ]
  const texts = await Promise.all(
    commands.map(async ([program = '', ...args]) => (await capture(program, args)).stdout),
  )
  return texts
    .map((text) =>
      text
        .trim()
        .split('\n')
        .map((line) => line.trim())
        .sort()
        .join('\n'),
    )
    .join('\n')
}
const problems = async () => (await agent.ask('status')).problems

t.test('whatever is taken away or changed on the node is back', async (t) => {
  const before = await show()
  for (const damage of [
    ['ip', 'route', 'flush', 'proto', '98'],
    ['ip', '-6', 'route', 'flush', 'proto', '98'],
    ['ip', 'neighbour', 'delete', ipv4, 'dev', link],
    ['ip', 'neighbour', 'flush', 'dev', link, 'nud', 'permanent'],
    ['ip', 'link', 'set', link, 'down'],
    ['ip', 'link', 'set', link, 'address', '02:00:00:00:00:01'],
    ['ip', 'link', 'set', link, 'group', '7'],
  ]) {
    const [program = '', ...args] = damage
    await run(program, ...args)
    await until(`undone: ${damage.join(' ')}`, async () => (await show()) === before)
    t.equal((await pod.check()).exitCode, 0, damage.join(' '))
  }
})

t.test('a route of another program in the place of ours stays, and status names it until it goes', async (t) => {
  await run('ip', 'link', 'add', 'other', 'type', 'veth', 'peer', 'other-end')
  await run('ip', 'link', 'set', 'other', 'up')
  await run('ip', 'link', 'set', 'other-end', 'up')
  await run('ip', 'route', 'replace', `${ipv4}/32`, 'dev', 'other', 'proto', 'static')
  await until('it is told', async () => (await problems()).some((one) => one.includes(ipv4)))
  t.match(await run('ip', 'route', 'show', `${ipv4}/32`), 'dev other')
  await run('ip', 'link', 'delete', 'other')
  await until('ours is back', async () => (await run('ip', 'route', 'show', `${ipv4}/32`)).includes(link))
  t.same(await problems(), [])
})

t.test('of many pods all routes are back at once', async (t) => {
  const pods = await Promise.all(Array.from({ length: 40 }, () => Pod.add()))
  const routes = async () => (await run('ip', 'route', 'show', 'proto', '98')).trim().split('\n').length
  const before = await routes()
  t.equal(before, 41)
  await run('ip', 'route', 'flush', 'proto', '98')
  await until('all are back', async () => (await routes()) === before)
  await Promise.all(pods.map((one) => one.del()))
  t.same(await agent.ask('ipam check'), [])
})

t.test('what a DEL takes away is not put back', async (t) => {
  const others = await Promise.all(Array.from({ length: 10 }, () => Pod.add()))
  const damage = (async () => {
    for (let count = 0; count < 20; count++) await capture('ip', ['route', 'flush', 'proto', '98'])
  })()
  await Promise.all([damage, ...others.map((one) => one.del())])
  await until('leases and kernel agree', async () => (await agent.ask('ipam check')).length === 0)
  const routes = (await run('ip', 'route', 'show', 'proto', '98')).trim().split('\n')
  t.equal(routes.length, 1)
  t.match(routes[0], ipv4)
  t.match((await run('ip', '-6', 'route', 'show', 'proto', '98')).trim(), ipv6)
})

t.teardown(() => agent.stop())
