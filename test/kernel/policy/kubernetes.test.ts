import { readFileSync, rmSync } from 'node:fs'
import t from 'tap'
import { inNetns, openNetns } from '../../../agent/kernel/netns.ts'
import { watchNftables } from '../../../agent/kernel/nftables-events.ts'
import { sleep, until } from '../agent.ts'
import { Talk } from '../talk.ts'
import { calls, differences } from './differences.ts'
import { type Container, KubernetesLab, RESOURCES } from './kubernetes-lab.ts'
import { flood, listenIn } from './sneak.ts'

/** What changes in a cluster that is told by an API server, and what holds while that is away. */

const lab = await KubernetesLab.start('--policy-wait=2')
t.setTimeout(240_000)
lab.putNamespace('x')
const SERVERS = { podSelector: { matchLabels: { is: 'server' } } }
const FROM_FRIENDS = { ...SERVERS, ingress: [{ from: [{ podSelector: { matchLabels: { is: 'friend' } } }] }] }
const server = await lab.addPod('x/server', { is: 'server' })
const friend = await lab.addPod('x/friend', { is: 'friend' })
const stranger = await lab.addPod('x/stranger')

const between = (from: Container, to: Container, expected: 'open' | 'closed') =>
  calls(`${from.netns} to ${to.netns}`, from.netns, to.addresses, expected)
/** Who gets through to the server, and to whom else. */
async function isSo(expected: { friend: boolean; stranger: boolean }, to = server): Promise<string[]> {
  const word = (isOpen: boolean) => (isOpen ? 'open' : 'closed')
  return differences([...between(friend, to, word(expected.friend)), ...between(stranger, to, word(expected.stranger))])
}
const OPEN = { friend: true, stranger: true }
const FRIENDS_ALONE = { friend: true, stranger: false }
const CLOSED = { friend: false, stranger: false }
const policies = async (count: number) =>
  until(`${count} policies are known`, async () => (await lab.agent.ask('status')).policies === count)
const isKept = (text: string) => readFileSync('/run/bramble-n1/workloads.json', 'utf8').includes(text)

t.afterEach(() => {
  for (const { metadata } of lab.api.objects.list(RESOURCES.policies)) lab.deletePolicy(`x/${metadata.name}`)
})

t.test('what policies, pods and namespaces become is so in the kernel', async (t) => {
  t.same(await isSo(OPEN), [], 'no policy')
  lab.putPolicy('x/p', FROM_FRIENDS)
  t.same(await isSo(FRIENDS_ALONE), [], 'a policy comes')
  lab.putPod('x/stranger', { is: 'friend' }, stranger)
  t.same(await isSo(OPEN), [], 'a label of a peer')
  lab.putPod('x/stranger', {}, stranger)
  t.same(await isSo(FRIENDS_ALONE), [], 'and back')
  lab.putPod('x/server', { is: 'retired' }, server)
  t.same(await isSo(OPEN), [], 'a label of whom the policy is for')
  lab.putPod('x/server', { is: 'server' }, server)
  lab.putPolicy('x/p', { ...SERVERS, ingress: [{ from: [{ namespaceSelector: { matchLabels: { may: 'call' } } }] }] })
  t.same(await isSo(CLOSED), [], 'the policy says something else')
  lab.putNamespace('x', { may: 'call' })
  t.same(await isSo(OPEN), [], 'a label of a namespace')
  lab.putNamespace('x')
  t.same(await isSo(CLOSED), [])
  lab.deletePolicy('x/p')
  t.same(await isSo(OPEN), [], 'and the policy goes')
})

t.test('connections are cut where a policy is tightened, and not disturbed where one is loosened', async (t) => {
  lab.putPolicy('x/p', FROM_FRIENDS)
  t.same(await isSo(FRIENDS_ALONE), [])
  const ways = server.addresses.flatMap((address) =>
    (['tcp', 'udp'] as const).map((protocol) => ({ protocol, address })),
  )
  const talks = await Promise.all(
    ways.map(({ protocol, address }) => Talk.start(protocol, friend.netns, server.netns, address)),
  )
  const heard = () => talks.map(({ heard: { caller, called } }) => caller + called)
  lab.putPolicy('x/p', { ...SERVERS, ingress: [{}] })
  t.same(await isSo(OPEN), [])
  await Promise.all(talks.map((talk) => talk.goesOn()))
  lab.putPolicy('x/p', SERVERS)
  t.same(await isSo(CLOSED), [])
  await until('nothing more is heard', async () => {
    const before = heard()
    await sleep(300)
    return String(heard()) === String(before)
  })
  lab.putPolicy('x/p', FROM_FRIENDS)
  await Promise.all(talks.map((talk) => talk.goesOn()))
  t.pass('they go on when they are allowed again')
  await Promise.all(talks.map((talk) => talk.end()))
})

t.test('heartbeats of nodes and status of pods, however many, change nothing in the kernel', async (t) => {
  lab.putPolicy('x/p', FROM_FRIENDS)
  for (let n = 0; n < 100; n++) lab.putPod(`y/elsewhere-${n}`, { is: 'friend' }, { addresses: [`10.42.9.${n + 1}`] })
  t.same(await isSo(FRIENDS_ALONE), [])
  let generations = 0
  const netns = openNetns('/run/netns/n1')
  const events = inNetns(netns, () =>
    watchNftables(
      () => false,
      () => generations++,
    ),
  )
  const beat = (resource: string, key: string, fields: object) => {
    const object = lab.api.objects.get(resource, key)
    if (object)
      lab.api.objects.put(resource, { ...object, metadata: { ...object.metadata, managedFields: [fields] }, ...fields })
  }
  const before = lab.api.objects.version
  for (let n = 0; n < 20; n++) {
    const { status, spec } = lab.api.objects.get(RESOURCES.nodes, 'n1') as unknown as { status: object; spec: object }
    beat(RESOURCES.nodes, 'n1', { spec, status: { ...status, conditions: [{ type: 'Ready', lastHeartbeatTime: n }] } })
    beat(RESOURCES.namespaces, 'x', { status: { phase: `Active ${n}` } })
    for (const { metadata, status } of lab.api.objects.list(RESOURCES.pods))
      beat(RESOURCES.pods, `${metadata.namespace}/${metadata.name}`, {
        status: { ...(status as object), conditions: [{ type: 'Ready', n }] },
      })
    for (const { metadata } of lab.api.objects.list(RESOURCES.policies))
      beat(RESOURCES.policies, `x/${metadata.name}`, { status: { n } })
  }
  t.ok(lab.api.objects.version > before + 2_000)
  lab.putPolicy('y/of-nobody', { podSelector: { matchLabels: { is: 'nobody' } } })
  await policies(2)
  t.equal(generations, 0)
  lab.putPod('x/stranger', { is: 'friend' }, stranger)
  t.same(await isSo(OPEN), [])
  t.ok(generations > 0, 'and it would have been seen')
  events.close()
  netns.close()
  lab.putPod('x/stranger', {}, stranger)
  lab.deletePolicy('y/of-nobody')
})

t.test('lists that are forbidden are told, and what is known stays in force', async (t) => {
  lab.putPolicy('x/p', FROM_FRIENDS)
  t.same(await isSo(FRIENDS_ALONE), [])
  lab.api.forbidden.add('list networkpolicies').add('watch networkpolicies')
  lab.api.compact()
  lab.api.disconnect()
  await lab.told(/networkpolicies is forbidden|may not (list|watch) networkpolicies/)
  t.match(await lab.problems(), /what is known of pods and policies stays in force/)
  const second = await lab.addPod('x/second', { is: 'server' })
  t.same(await isSo(FRIENDS_ALONE), [])
  t.same(await isSo(FRIENDS_ALONE, second), [], 'for pods that come, too')
  lab.api.forbidden.clear()
  await lab.told(/networkpolicies/, false)
})

t.test(
  'an agent that never hears of policies opens nothing: pods that come are closed, and status tells why',
  async (t) => {
    lab.putPolicy('x/p', FROM_FRIENDS)
    t.same(await isSo(FRIENDS_ALONE), [])
    await lab.agent.stop()
    rmSync('/run/bramble-n1/workloads.json')
    lab.api.forbidden.add('list networkpolicies')
    await lab.begin('--policy-wait=0')
    const third = await lab.addPod('x/third')
    t.same(await isSo(FRIENDS_ALONE), [], 'what the last agent left')
    t.same(
      (await lab.problems()).match(/pod x\/\S+: the cluster has said nothing of it/g),
      ['pod x/third: the cluster has said nothing of it'],
      'and of who has that nothing else is told',
    )
    t.same(await isSo(CLOSED, third), [])
    t.match(await lab.problems(), /networkpolicies/)
    t.match(await lab.problems(), /pod x\/third: the cluster has said nothing of it; it is closed until it does/)
    lab.api.forbidden.clear()
    t.same(await isSo(OPEN, third), [])
    t.same(await isSo(FRIENDS_ALONE), [])
    await lab.told(/networkpolicies|x\/third/, false)
  },
)

t.test('agents end and start while the API server is away: what was known holds, then what it says', async (t) => {
  // It has no listeners but the witness, who hears whatever gets through in between.
  const sealed = await lab.addPod('x/sealed', { is: 'server' }, { isListening: false })
  lab.putPolicy('x/p', FROM_FRIENDS)
  t.same(await isSo(FRIENDS_ALONE), [])
  const SIGNALS = ['SIGKILL', 'SIGTERM'] as const // the second one ends an agent that has heard nothing
  const planned = SIGNALS.map((signal) => {
    const key = `x/planned-for-${signal.toLowerCase()}`
    return { signal, key, uid: lab.putPod(key, { is: 'server' }) }
  })
  await until('all of that is kept', () => planned.every(({ uid }) => isKept(uid)))
  const heard = await listenIn([sealed.netns])
  const attack = await flood(sealed.addresses.map((address) => ({ netns: stranger.netns, address })))
  lab.goAway()
  const known: Container[] = []
  for (const { signal, key, uid } of planned) {
    await lab.restart(signal, '--policy-wait=1')
    t.same(await isSo(FRIENDS_ALONE), [], `after ${signal}`)
    await lab.told(/API server/)
    known.push(await lab.wire(key, uid))
  }
  const unknown = await lab.wire('x/never-heard-of', 'uid')
  for (const pod of known) t.same(await isSo(FRIENDS_ALONE, pod), [], 'a pod that was known and had not started')
  t.same(await isSo(CLOSED, unknown), [])
  t.ok((await attack()) > 0)
  t.equal(await heard(), 0, 'and at no moment was more open than before')

  lab.putPolicy('x/p', { ...SERVERS, ingress: [{}] })
  lab.comeBack()
  await lab.told(/API server/, false) // who was away for long is asked seldom
  for (const pod of [server, ...known]) t.same(await isSo(OPEN, pod), [])
  t.same(await isSo(CLOSED, unknown), [], 'of which it still knows nothing')
  t.equal((await lab.call('DEL', unknown.netns)).exitCode, 0)
  await lab.told(/never-heard-of/, false)
})

t.test('ClusterNetworkPolicies hold while their CRD is there', async (t) => {
  lab.api.objects.install(RESOURCES.clusterPolicies, {
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
  })
  lab.api.objects.put(RESOURCES.clusterPolicies, {
    metadata: { name: 'no-strangers' },
    spec: {
      tier: 'Admin',
      priority: 10,
      subject: { pods: { namespaceSelector: {}, ...SERVERS } },
      ingress: [
        {
          action: 'Accept',
          from: [{ pods: { namespaceSelector: {}, podSelector: { matchLabels: { is: 'friend' } } } }],
        },
        { action: 'Deny', from: [{ namespaces: {} }] },
      ],
    },
  })
  t.same(await isSo(OPEN), [], 'the agent has not looked yet')
  await lab.restart('SIGTERM')
  t.same(await isSo(FRIENDS_ALONE), [])
  lab.api.uninstall(RESOURCES.clusterPolicies)
  t.same(await isSo(OPEN), [])
  await lab.told(/./, false)
})

t.teardown(() => lab.stop())
