import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ApiClient } from '../../agent/cluster/kubernetes/client.ts'
import { explain } from '../../agent/cluster/kubernetes/explain.ts'
import { nodeMarks } from '../../agent/cluster/kubernetes/leave.ts'
import { KubernetesSource } from '../../agent/cluster/kubernetes/nodes.ts'
import { type RealServer, startRealServer } from '../agent/cluster/kubernetes/real-server.ts'
import { until } from '../agent/cluster/kubernetes/until.ts'
import { apply, objectsOf, tokenFor, tokenOfAgentOn } from './apply.ts'

const read = (name: string) => readFileSync(join(import.meta.dirname, '../../deploy', name), 'utf8')
const MANIFEST = read('bramble.yaml')
const RESTRICTION = read('node-restriction.yaml')

t.test('it is about all that the ClusterRole lets an agent change, and refuses where it cannot be judged', (t) => {
  const objects = objectsOf(MANIFEST)
  const { rules } = objects.find(({ kind }) => kind === 'ClusterRole')
  const changed = rules.flatMap(({ resources, verbs }: Record<'resources' | 'verbs', string[]>) =>
    verbs.some((verb) => !['get', 'list', 'watch'].includes(verb)) ? resources : [],
  )
  const [{ metadata, spec }, binding] = objectsOf(RESTRICTION)
  t.strictSame(spec.matchConstraints.resourceRules, [
    { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: changed },
  ])
  const { name, namespace } = objects.find(({ kind }) => kind === 'ServiceAccount').metadata
  t.match(spec.matchConditions, [
    { expression: `request.userInfo.username == "system:serviceaccount:${namespace}:${name}"` },
  ])
  t.equal(spec.failurePolicy, 'Fail')
  t.strictSame(binding.spec, { policyName: metadata.name, validationActions: ['Deny'] })
  t.end()
})

const NODES = '/api/v1/nodes'
const UP = { type: 'NetworkUnavailable', status: 'False', reason: 'BrambleIsUp' }
const signal = new AbortController().signal

const { KUBEBUILDER_ASSETS: assets } = process.env
if (assets)
  t.test('with a real API server', async (t) => {
    const server = await startRealServer(assets)
    t.teardown(() => server.close())
    await apply(server, `${MANIFEST}\n---\n${RESTRICTION}`)
    for (const name of ['pi-1', 'pi-2']) {
      await server.create({ name, podCidrs: ['10.42.1.0/24'], annotations: { 'example.com/kept': 'yes' } })
      await server.heartbeat(name)
    }
    const clientWith = (text: string) => {
      const client = new ApiClient({ ...server.access, token: { text } })
      t.teardown(() => client.close())
      return client
    }
    const token = await tokenOfAgentOn(server, 'pi-1')
    const client = clientWith(token)
    const patchOf = (name: string, patch: object, by = client) =>
      saidTo(by.mergePatch(`${NODES}/${name}`, patch, signal))
    const statusPatchOf = (name: string, status: object, by = client) =>
      saidTo(by.strategicMergePatch(`${NODES}/${name}/status`, { status }, signal))
    const note = (key: string, value: string | null) => ({ metadata: { annotations: { [key]: value } } })
    await inForce(server)

    t.test('an agent writes its annotations and its condition on its own Node', async (t) => {
      const source = new KubernetesSource(new ApiClient({ ...server.access, token: { text: token } }), 'pi-1')
      t.teardown(() => source.close())
      const problems: string[] = []
      source.start((change) => problems.push(...change.problems.map(({ reason }) => reason)))
      source.announce({ encapsulations: ['vxlan'] })
      source.tellNetworkIsUp()
      const isWritten = async () => {
        const { metadata, status } = await nodeOf(server, 'pi-1')
        return metadata.annotations['bramble.dev/node'] && status.conditions.some(isUp)
      }
      let written = false
      const looking = setInterval(async () => (written ||= Boolean(await isWritten())), 100)
      t.teardown(() => clearInterval(looking))
      await until('both are there', () => written)
      t.same(problems, [])
    })

    t.test('and nothing on any other', async (t) => {
      const words = /denied request: an agent of Bramble changes its own Node alone, and this token is of pi-1$/
      t.match(await patchOf('pi-2', note('bramble.dev/node', 'forged')), words)
      t.match(await statusPatchOf('pi-2', { conditions: [UP] }), words)
      t.notMatch(await patchOf('pi-2', note('bramble.dev/node', 'forged')), /ClusterRole/, 'no right would help')
    })

    t.test('annotations of others stay as they are', async (t) => {
      const words = /an agent of Bramble writes no annotations but those below bramble\.dev\/$/
      t.match(await patchOf('pi-1', note('example.com/new', 'x')), words)
      t.match(await patchOf('pi-1', note('example.com/kept', 'no')), words)
      t.match(await patchOf('pi-1', note('example.com/kept', null)), words)
    })

    t.test('so do labels, the spec, and what would delete the Node or keep it', async (t) => {
      const words = /an agent of Bramble changes nothing of a Node but annotations and status$/
      const owner = { apiVersion: 'v1', kind: 'Pod', name: 'none', uid: '1' }
      for (const patch of [
        { metadata: { labels: { role: 'control-plane' } } },
        { metadata: { finalizers: ['example.com/stay'] } },
        { metadata: { ownerReferences: [owner] } },
        { spec: { unschedulable: true } },
        { spec: { taints: [{ key: 'a', effect: 'NoExecute' }] } },
      ])
        t.match(await patchOf('pi-1', patch), words, JSON.stringify(patch))
    })

    t.test("and of the status all but one condition, also where the Node's annotations come along", async (t) => {
      const words = /an agent of Bramble changes nothing of a Node's status but the condition NetworkUnavailable$/
      for (const status of [
        { conditions: [{ type: 'Ready', status: 'False' }] },
        { conditions: [{ type: 'DiskPressure', status: 'True' }] },
        { conditions: [{ $patch: 'delete', type: 'Ready' }] },
        { addresses: [{ type: 'InternalIP', address: '192.0.2.66' }] },
        { capacity: { 'example.com/gold': '1' } },
      ])
        t.match(await statusPatchOf('pi-1', status), words, JSON.stringify(status))
      const patch = note('example.com/new', 'x')
      t.match(
        await saidTo(client.strategicMergePatch(`${NODES}/pi-1/status`, patch, signal)),
        /writes no annotations but those below/,
      )
    })

    t.test('uninstalling takes them away again, from a pod on that node alone', async (t) => {
      const marks = await nodeMarks(client, 'pi-1')
      t.same(
        marks.map(({ text }) => text),
        ['annotation bramble.dev/node of node pi-1', 'condition NetworkUnavailable=False of node pi-1'],
      )
      const other = clientWith(await tokenOfAgentOn(server, 'pi-2'))
      for (const mark of await nodeMarks(other, 'pi-1'))
        await t.rejects(mark.remove(), { message: /token is of pi-2$/ })
      for (const mark of marks) await mark.remove()
      const { metadata, status } = await nodeOf(server, 'pi-1')
      t.same(metadata.annotations, { 'example.com/kept': 'yes' })
      t.match(status.conditions, [{ type: 'Ready', status: 'True' }])
    })

    t.test('a token of the account that was given to no pod changes nothing', async (t) => {
      const loose = clientWith(await tokenFor(server, {}))
      t.match(await patchOf('pi-1', note('bramble.dev/node', 'x'), loose), /this token is of none$/)
    })

    t.test('whoever else changes Nodes is not asked', async (t) => {
      await server.annotate('pi-2', 'example.com/kept', 'changed')
      t.equal((await server.annotationsOf('pi-2'))['example.com/kept'], 'changed')
    })
  })

/** The API server reads policies some time after they were made. */
async function inForce(server: RealServer): Promise<void> {
  const client = new ApiClient({ ...server.access, token: { text: await tokenFor(server, {}) } })
  let refused = false
  for (let tries = 0; !refused && tries < 200; tries++) {
    const said = await saidTo(client.mergePatch(`${NODES}/pi-2`, {}, signal))
    refused = said.includes('denied request')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  client.close()
  if (!refused) throw new Error('the policy is not in force')
}

/** In the agent's own words. */
function saidTo(patching: Promise<unknown>): Promise<string> {
  return patching.then(
    () => 'done',
    (error: unknown) => explain(error, { verb: 'patch', resource: 'nodes' }),
  )
}

async function nodeOf(server: RealServer, name: string) {
  return JSON.parse(await server.ask('GET', `${NODES}/${name}`))
}

function isUp({ type, status }: { type: string; status: string }): boolean {
  return type === UP.type && status === UP.status
}
