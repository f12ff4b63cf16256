import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { until } from '../agent.ts'
import { PLUGIN } from '../plugin.ts'
import { calls, differences, type Expectation } from './differences.ts'
import { type Container, KubernetesLab, RESOURCES } from './kubernetes-lab.ts'

/** Pods that start before the agent has heard of them; hard cases 2, 4 and 6 where policies are concerned. */

const LONG = '--policy-wait=20'
const UNKNOWN = /the cluster has said nothing of it/

const lab = await KubernetesLab.start(LONG)
t.setTimeout(240_000)
lab.putNamespace('x')
lab.putPolicy('x/friends', {
  podSelector: { matchLabels: { is: 'server' } },
  ingress: [{ from: [{ podSelector: { matchLabels: { is: 'friend' } } }] }],
})
const friend = await lab.addPod('x/friend', { is: 'friend' })
const stranger = await lab.addPod('x/stranger')

/** What a server of the policy has: friends get in, others do not. */
const servesFriends = ({ netns, addresses }: Container): Expectation[] => [
  ...calls('friend', friend.netns, addresses, 'open'),
  ...calls('stranger', stranger.netns, addresses, 'closed'),
  ...calls('to stranger', netns, stranger.addresses, 'open'),
]
const isClosed = ({ netns, addresses }: Container): Expectation[] => [
  ...calls('friend', friend.netns, addresses, 'closed'),
  ...calls('to stranger', netns, stranger.addresses, 'closed'),
  ...calls('its node', 'n1', addresses.slice(0, 1), 'open'),
]
const isOpen = ({ netns, addresses }: Container): Expectation[] => [
  ...calls('stranger', stranger.netns, addresses, 'open'),
  ...calls('to stranger', netns, stranger.addresses, 'open'),
]
const underWay = async (count: number) =>
  until(`${count} calls wait`, async () => (await lab.agent.ask('status')).callsUnderWay === count)

t.test('a pod that the watch does not tell of is asked for, and starts with its policies', async (t) => {
  for (const watch of lab.api.watches) watch.silence()
  const uid = lab.putPod('x/late', { is: 'server' })
  const late = await lab.wire('x/late', uid)
  t.ok(lab.asked().includes('late'))
  t.same(await differences(servesFriends(late)), [])
  t.notMatch(await lab.problems(), UNKNOWN)
  lab.api.disconnect() // and watches begin again
})

t.test(
  'twenty that are not known wait side by side, each asked for at once, and start when they are told of',
  async (t) => {
    const names = Array.from({ length: 20 }, (_, index) => `many-${index}`)
    const added = Promise.all(names.map((name) => lab.wire(`x/${name}`, `uid-of-${name}`)))
    await underWay(names.length)
    await until('all are asked for', () => names.every((name) => lab.asked().includes(name)))
    for (const name of names) lab.putPod(`x/${name}`, { is: 'server' }, { uid: `uid-of-${name}` })
    const [first, last] = (await added).filter((_, index) => index === 0 || index === 19) as [Container, Container]
    t.same(await differences([...servesFriends(first), ...servesFriends(last)]), [])
  },
)

t.test('hard case 2: a pod made again under its name has nothing of the labels that are still known', async (t) => {
  const first = await lab.addPod('x/web', { is: 'friend' })
  for (const watch of lab.api.watches) watch.silence()
  lab.deletePod('x/web')
  const uid = lab.putPod('x/web', { is: 'server' })
  const second = await lab.wire('x/web', uid)
  t.same(await differences(servesFriends(second)), [], 'its own labels count')
  lab.api.disconnect()
  lab.putPod('x/web', { is: 'server' }, second)
  const rules = async () =>
    (await lab.rules()).split('\n').filter((line) => second.addresses.some((one) => line.includes(one)))
  t.equal((await lab.call('DEL', first.netns, 'x/web', 'old')).exitCode, 0)
  t.ok((await rules()).length > 0)
  t.same(await differences(servesFriends(second)), [], 'after the late DEL of the first')
})

t.test('a pod waits for its namespace, too: rules may hang on the labels of that', async (t) => {
  lab.putPolicy('x/callers', {
    podSelector: { matchLabels: { is: 'called' } },
    ingress: [{ from: [{ namespaceSelector: { matchLabels: { may: 'call' } } }] }],
  })
  const called = await lab.addPod('x/called', { is: 'called' })
  for (const watch of lab.api.watches) if (watch.resource === RESOURCES.namespaces) watch.silence()
  lab.putNamespace('callers', { may: 'call' })
  const caller = await lab.addPod('callers/caller')
  t.ok(lab.api.requests.some(({ verb, path }) => verb === 'get' && path === `${RESOURCES.namespaces}/callers`))
  t.same(
    await differences([
      ...calls('caller', caller.netns, called.addresses, 'open'),
      ...calls('friend', friend.netns, called.addresses, 'closed'),
    ]),
    [],
  )
  lab.api.disconnect()
})

t.test('a static pod is known by its image in the API, which has another uid', async (t) => {
  const adding = lab.wire('x/static-n1', 'd0c5f00d')
  await until('it is asked for', () => lab.asked().includes('static-n1'))
  lab.putPod('x/static-n1', { is: 'server' }, { annotations: { 'kubernetes.io/config.mirror': 'd0c5f00d' } })
  t.same(await differences(servesFriends(await adding)), [])
})

t.test('hard cases 4 and 6: an API server that hangs holds up neither DEL, nor what is known', async (t) => {
  const other = await lab.addPod('x/other', { is: 'server' })
  lab.api.fault = ({ verb }) => (verb === 'get' ? { kind: 'silence' } : undefined)
  const netns = await lab.makeContainer()
  const plugin = spawn('setpriv', ['--pdeathsig', 'KILL', 'nsenter', '--net=/run/netns/n1', PLUGIN], {
    env: {
      ...{ BRAMBLE_SOCKET: '/run/bramble-n1/agent.sock', CNI_COMMAND: 'ADD', CNI_CONTAINERID: netns },
      ...{ CNI_NETNS: `/run/netns/${netns}`, CNI_IFNAME: 'eth0', PATH: process.env.PATH },
      CNI_ARGS: 'K8S_POD_NAMESPACE=x;K8S_POD_NAME=hung;K8S_POD_UID=hung',
    },
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  plugin.stdin.end(JSON.stringify({ cniVersion: '1.0.0', name: 'bramble', type: 'bramble' }))
  await underWay(1)
  t.equal((await lab.call('DEL', other.netns, 'x/other')).exitCode, 0)
  await lab.addPod('x/known', { is: 'server' })
  await underWay(1)
  plugin.kill('SIGKILL')
  await once(plugin, 'exit')
  t.equal((await lab.call('DEL', netns, 'x/hung')).exitCode, 0)
  await underWay(0)
  t.notOk((await lab.agent.ask('pods')).some(({ pod }) => pod === 'x/hung'))
  lab.comeBack()
})

t.test('SIGTERM is not held up by a pod that waits to be known: its ADD is to be tried again', async (t) => {
  const netns = await lab.makeContainer()
  const added = lab.call('ADD', netns, 'x/nobody', 'nobody')
  await underWay(1)
  await lab.restart('SIGTERM', LONG)
  const { exitCode, stdout } = await added
  t.equal(exitCode, 1)
  t.match(JSON.parse(stdout), { code: 11, msg: /the agent ends/ })
  t.notOk((await lab.agent.ask('pods')).some(({ pod }) => pod === 'x/nobody'))
})

t.test(
  'after --policy-wait a pod starts closed, but to its node, and status tells of it until it is known',
  async (t) => {
    await lab.restart('SIGTERM', '--policy-wait=1')
    for (const name of ['missing', 'unanswered', 'forbidden']) {
      lab.api.fault = ({ resource, verb }) =>
        name === 'unanswered' && verb === 'get' && resource === RESOURCES.pods ? { kind: 'silence' } : undefined
      if (name === 'forbidden') lab.api.forbidden.add('get pods')
      const pod = await lab.wire(`x/${name}`, 'to-come')
      t.same(await differences(isClosed(pod)), [])
      t.match(
        await lab.problems(),
        new RegExp(`pod x/${name}: the cluster has said nothing of it; it is closed until it does`),
      )
      lab.comeBack()
      lab.putPod(`x/${name}`, { is: 'server' }, { uid: 'to-come' })
      t.same(await differences(servesFriends(pod)), [])
      t.notMatch(await lab.problems(), UNKNOWN)
    }
    const refusal = lab.agent.log.find(({ msg }) => msg === 'a pod starts that cannot be asked for')
    t.match(refusal, { pod: 'x/forbidden', reason: /verb "get" on "pods"/ })
    lab.api.forbidden.clear()
  },
)

t.test('with --policy-wait=0 nobody waits, and it is asked for all the same', async (t) => {
  await lab.restart('SIGTERM', '--policy-wait=0')
  for (const watch of lab.api.watches) watch.silence()
  const pod = await lab.wire('x/hasty', lab.putPod('x/hasty', { is: 'server' }))
  t.same(await differences(servesFriends(pod)), [])
  t.notMatch(await lab.problems(), UNKNOWN)
})

t.test('with --policy-fail-open a pod is open until it is known', async (t) => {
  await lab.restart('SIGTERM', '--policy-wait=0', '--policy-fail-open')
  const pod = await lab.wire('x/trusted', 'to-come')
  t.same(await differences(isOpen(pod)), [])
  t.match(await lab.problems(), /pod x\/trusted: the cluster has said nothing of it; it is open until it does/)
  lab.putPod('x/trusted', { is: 'server' }, { uid: 'to-come' })
  t.same(await differences(servesFriends(pod)), [])
  await lab.told(UNKNOWN, false)
})

t.teardown(() => lab.stop())
