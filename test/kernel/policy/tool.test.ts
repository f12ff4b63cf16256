import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Explanation, Matrix, PolicyReport, Preview } from '../../../agent/api/policy-answers.ts'
import { capture, type Output } from '../scratch.ts'
import { PORT as TALK_PORT, Talk } from '../talk.ts'
import { type LabPod, type Manifest, N1, PolicyLab } from './lab.ts'
import { probe } from './probe.ts'

/** The built `bramblectl policy` with a real agent: what it says is what the kernel does. */

const BRAMBLECTL = fileURLToPath(new URL('../../../dist/bin/bramblectl', import.meta.url))
const HOSTILE = 'a\u001b[2J\nb\u202e'

const lab = await PolicyLab.start([N1])
t.teardown(() => lab.stop())
lab.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { team: 'red' } } })
const http = [{ name: 'http', containerPort: 80 }]
const web = await lab.addPod({ namespace: 'shop', name: 'web', labels: { app: 'web' }, ports: http })
const client = await lab.addPod({ namespace: 'shop', name: 'client', labels: { app: 'client', hostile: HOSTILE } })
const stranger = await lab.addPod({ namespace: 'other', name: 'stranger', labels: { app: 'stranger' } })
await lab.listen([
  { protocol: 'tcp', port: 80 },
  { protocol: 'udp', port: 53 },
])

function policy(name: string, spec: object): Manifest {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: 'shop', name }, spec }
}
const FROM_CLIENT = policy('web', {
  podSelector: { matchLabels: { app: 'web' } },
  ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }], ports: [{ port: 'http' }] }],
})
lab.put(FROM_CLIENT)
await lab.settled()

function bramblectl(args: readonly string[], stdin = ''): Promise<Output> {
  return capture(BRAMBLECTL, ['policy', ...args, '--socket', '/run/bramble-n1/agent.sock'], stdin)
}

async function asked<T>(...args: readonly string[]): Promise<T> {
  const { stdout, stderr } = await bramblectl([...args, '-o', 'json'])
  t.equal(stderr, '')
  return JSON.parse(stdout)
}

const call = (from: LabPod, expected: 'open' | 'closed', protocol: 'tcp' | 'udp' = 'tcp') =>
  web.addresses.map((address) => ({
    ...{ what: `${from.id} to ${address}`, netns: from.netns, address },
    ...{ protocol, port: protocol === 'tcp' ? 80 : 53, expected },
  }))

t.test('explain: what is allowed gets through, by the rule that is shown', async (t) => {
  const { exitCode, stdout } = await bramblectl(['explain', 'shop/client', 'shop/web:http'])
  t.equal(exitCode, 0)
  t.match(stdout, `allowed: shop/client (${client.addresses.join(', ')}) to shop/web`)
  t.match(stdout, 'into shop/web: allowed by NetworkPolicy shop/web, spec.ingress[0]:\n    - from:\n')
  t.same(await lab.differences(call(client, 'open')), [])
})

t.test('explain: what is denied does not, until the rule that is missing is there', async (t) => {
  const question = ['explain', 'other/stranger', 'shop/web:80/tcp']
  const { exitCode, stdout } = await bramblectl(question)
  t.equal(exitCode, 3)
  t.match(stdout, 'isolated by NetworkPolicy shop/web, and no rule lets it through')
  t.match(stdout, 'what is missing: this in NetworkPolicy shop/web, as spec.ingress[1]:\n    - from:\n')
  t.same(await lab.differences(call(stranger, 'closed')), [])

  const [missing] = (await asked<Explanation>(...question)).cases[0]?.missing ?? []
  if (missing?.kind !== 'rule') throw new Error(`not a rule: ${JSON.stringify(missing)}`)
  const spec = FROM_CLIENT.spec as { ingress: object[] }
  lab.put({ ...FROM_CLIENT, spec: { ...spec, ingress: [...spec.ingress, missing.source] } })
  t.same(await lab.differences(call(stranger, 'open')), [])
  t.equal((await bramblectl(question)).exitCode, 0)
  lab.put(FROM_CLIENT)
  t.same(await lab.differences(call(stranger, 'closed')), [])
})

t.test('explain: the own node, the world, addresses; what is not there is told', async (t) => {
  const code = async (...ends: string[]) => (await bramblectl(['explain', ...ends])).exitCode
  const [ipv4 = '', ipv6 = ''] = web.addresses
  t.same(
    await Promise.all([code('node/n1', 'shop/web'), code('world', `${ipv4}:80`), code(ipv6, `[${ipv6}]:80`)]),
    [0, 3, 0],
  )
  t.match(await bramblectl(['explain', 'shop/none', 'shop/web']), {
    exitCode: 1,
    stdout: '',
    stderr: 'bramblectl: no pod shop/none is known; see: kubectl get pods -A, bramblectl pods\n',
  })
})

t.test('show: what was dropped and let through is counted', async (t) => {
  await probe([...call(client, 'open'), ...call(stranger, 'closed')])
  const { policies } = await asked<PolicyReport>('show')
  const [one] = policies
  t.match(one, { policy: 'NetworkPolicy shop/web', pods: 1, localPods: 1, directions: ['ingress'] })
  const packets = (effect: string) => one?.counted.find((row) => row.effect === effect)?.packets ?? 0
  t.ok(packets('accepted') >= 2, 'one of each family at least')
  t.ok(packets('dropped') >= 2)
  t.match(
    (await bramblectl(['show'])).stdout,
    /^NetworkPolicy shop\/web +- +pods app=web +1 of 1 +accepted \d+, dropped \d+ +-$/m,
  )
})

t.test('show: of a pod what selects it; what a label has in it moves no cursor', async (t) => {
  const { stdout } = await bramblectl(['show', 'shop/web'])
  t.match(stdout, 'lets through: from pods app=client in this namespace on TCP http')
  t.match(stdout, '\nout: open, no policy is about it\n')
  const hostile = await bramblectl(['show', 'shop/client'])
  t.match(hostile.stdout, 'hostile=a\\u001b[2J\\u000ab\\u202e')
  t.notMatch(hostile.stdout, /[^\P{C}\n]/u)
})

const CLOSED = policy('web', { podSelector: { matchLabels: { app: 'web' } } })

t.test('preview: what would close, and the connections that would be cut; nothing is changed by it', async (t) => {
  const ingress = [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }], ports: [{ port: TALK_PORT }] }]
  const talking = { podSelector: { matchLabels: { app: 'web' } }, ingress }
  lab.put(policy('talk', talking))
  await lab.settled()
  const talks = await Promise.all(web.addresses.map((address) => Talk.start('tcp', client.netns, web.netns, address)))
  await probe(call(client, 'open')) // these have ended when they are looked at
  const both = [CLOSED, policy('talk', { ...talking, ingress: [] })]
  writeFileSync('/run/closed.json', both.map((one) => JSON.stringify(one)).join('\n---\n'))
  const preview = await asked<Preview>('preview', '-f', '/run/closed.json', '--flows')
  t.same(
    preview.changes.map(({ policy, what }) => `${policy} ${what}`),
    ['NetworkPolicy shop/web changed', 'NetworkPolicy shop/talk changed'],
  )
  t.match(preview.differences[0], { from: ['shop/client'], to: ['shop/web'], closed: `TCP 80, ${TALK_PORT}` })
  const cut = preview.flows?.cut.map(({ from, to, port, destination }) => `${from} ${to} ${port} ${destination}`)
  const expected = web.addresses.map((address) => `shop/client shop/web TCP ${TALK_PORT} ${address}`)
  t.same(cut?.sort(), expected.sort(), 'those that go on, and none that has ended')
  await Promise.all(talks.map((talk) => talk.goesOn()))
  t.same(await lab.differences(call(client, 'open')), [])
  await Promise.all(talks.map((talk) => talk.end()))
  lab.remove(policy('talk', talking))
  await lab.settled()
})

t.test('preview: from stdin, as if it were deleted; and what the rules then really let through', async (t) => {
  const { exitCode, stdout } = await bramblectl(['preview', '-f', '-', '--delete'], JSON.stringify(FROM_CLIENT))
  t.equal(exitCode, 0)
  t.match(stdout, /^NetworkPolicy shop\/web: deleted$/m)
  t.match(stdout, /^opens +other\/stranger, world +shop\/web +everything$/m)
  lab.remove(FROM_CLIENT)
  t.same(await lab.differences([...call(stranger, 'open'), ...call(stranger, 'open', 'udp')]), [])
  lab.put(FROM_CLIENT)
  t.same(await lab.differences(call(stranger, 'closed', 'udp')), [])
})

t.test('matrix: as the kernel has it, as a table and as a page', async (t) => {
  const { ends, cells } = await asked<Matrix>('matrix', '-n', 'shop', '--port', '80')
  const at = (from: string, to: string) => {
    const index = (name: string) => ends.findIndex((end) => end.name === name)
    return cells.find((cell) => cell.from === index(from) && cell.to === index(to))?.reach
  }
  t.equal(at('client', 'web'), 'all')
  t.equal(at('other/stranger', 'web'), 'none')
  t.equal(at('web', 'client'), 'all')
  t.equal(at('node n1', 'web'), 'all')
  t.match((await bramblectl(['matrix', '-n', 'shop'])).stdout, /^1 +client +o( +\+)+$/m)
  const page = (await bramblectl(['matrix', '-n', 'shop', '-o', 'html'])).stdout
  t.match(page, 'NetworkPolicy shop/web, spec.ingress[0]')
})
