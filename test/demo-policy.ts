import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { styleText } from 'node:util'
import { parse, stringify } from 'yaml'
import type { Explanation } from '../agent/api/policy-answers.ts'
import { renderTable } from '../ctl/table.ts'
import { until } from './kernel/agent.ts'
import { type LabPod, type Manifest, PolicyLab } from './kernel/policy/lab.ts'
import { type Probe, probe } from './kernel/policy/probe.ts'
import { capture } from './kernel/scratch.ts'

/**
 * `make demo-policy`: a node with three pods, in namespaces that end with this process. Agent, plugin, tool and sockets are
 * real; what the tool says is missing is what is put into the policy.
 */
const CTL = fileURLToPath(new URL('../dist/bin/bramblectl', import.meta.url))
const NODE = { name: 'pi-1', number: 1, lan: 'a' } as const
const FOLLOWS_WITHIN_MS = 30_000
const FILE = '/run/db.yaml'
const CLOSED = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: db }
spec: { podSelector: { matchLabels: { app: db } }, policyTypes: [Ingress], ingress: [] }
`

interface Call {
  readonly from: string
  readonly to: string
  readonly probe: Omit<Probe, 'expected'>
}

interface Answers {
  readonly title: string
  readonly cells: readonly string[]
}

const startedAtMs = performance.now()
const lab = await PolicyLab.start([NODE])
say('Bramble: a node and three pods, in namespaces of their own. Nothing of this machine is touched.')

const web = await lab.addPod({ node: NODE, namespace: 'shop', name: 'web', labels: { app: 'web' } })
const db = await lab.addPod({ node: NODE, namespace: 'shop', name: 'db', labels: { app: 'db' } })
const visitor = await lab.addPod({ node: NODE, namespace: 'guest', name: 'visitor' })
await lab.listen([
  { protocol: 'tcp', port: 5432 },
  { protocol: 'tcp', port: 80 },
])
const calls = [
  callTo(db, 5432, web.id, web.netns),
  callTo(db, 5432, visitor.id, visitor.netns),
  callTo(db, 5432, `its node ${NODE.name}`, NODE.name),
  callTo(web, 80, visitor.id, visitor.netns),
]

const open = await answersOf('NO POLICY', ['yes', 'yes', 'yes', 'yes'])
const closed = parse(CLOSED) as Manifest & { readonly spec: object }
writeFileSync(FILE, CLOSED)
say(heading('A policy that lets nobody in, saved into the folder that the agent watches', `cat ${FILE}`))
say(indent(CLOSED))
lab.put(closed)
const denied = await answersOf('WITH IT', ['no', 'no', 'yes', 'yes'])
say(heading('Who reaches whom? A pod and its own node always do'))
say(table([open, denied]))

const question = ['policy', 'explain', web.id, `${db.id}:5432`]
say(heading('Why not?', `bramblectl ${question.join(' ')}`))
const [explained, asJson] = await Promise.all([bramblectl(3, ...question), bramblectl(3, ...question, '-o', 'json')])
say(indent(explained))

const allowing: Manifest = { ...closed, spec: { ...closed.spec, ingress: [missingRule(JSON.parse(asJson))] } }
writeFileSync(FILE, stringify(allowing))
const preview = ['policy', 'preview', '-f', FILE]
say(heading('And if we write that? Nothing is changed yet', `bramblectl ${preview.join(' ')}`))
say(indent(await bramblectl(0, ...preview)))

lab.put(allowing)
const allowed = await answersOf('CHANGED', ['yes', 'no', 'yes', 'yes'])
say(heading('Then we save it'))
say(table([open, denied, allowed]))
say(heading('What the kernel has counted', 'bramblectl policy show'))
say(indent(await bramblectl(0, 'policy', 'show')))

await lab.stop()
const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1)
say(`\n  All well, in ${seconds} s; docs/policy.md tells the rest.\n`)
process.exit(0)

function callTo(to: LabPod, port: number, from: string, netns: string): Call {
  const [address = ''] = to.addresses
  return { from, to: `${to.id}:${port}`, probe: { netns, protocol: 'tcp', address, port } }
}

/** Calls until all is as it should be: a file that was saved is read in some milliseconds. @throws Error when it is not */
async function answersOf(title: string, expected: readonly ('yes' | 'no')[]): Promise<Answers> {
  const probes = calls.map(
    ({ probe }, index): Probe => ({ ...probe, expected: expected[index] === 'yes' ? 'open' : 'closed' }),
  )
  let cells: string[] = []
  const isAsExpected = async () => {
    cells = (await probe(probes)).map((outcome) => (outcome === 'open' ? 'yes' : outcome === 'closed' ? 'no' : outcome))
    return String(cells) === String(expected)
  }
  await until(title, isAsExpected, FOLLOWS_WITHIN_MS).catch((cause) => {
    const wrong = calls.flatMap(({ from, to }, index) =>
      cells[index] === expected[index] ? [] : [`${from} reaches ${to}: ${cells[index]}, not ${expected[index]}`],
    )
    throw new Error(`${title}: ${wrong.join('; ')}`, { cause })
  })
  return { title, cells }
}

/** @throws Error where the tool does not tell the one rule that is missing */
function missingRule({ cases }: Explanation): unknown {
  const rules = cases.flatMap(({ missing }) => missing.flatMap((one) => (one.kind === 'rule' ? [one.source] : [])))
  if (rules.length !== 1) throw new Error(`policy explain names ${rules.length} rules that are missing, not 1`)
  return rules[0]
}

/** @throws Error when it ends otherwise */
async function bramblectl(exitCode: number, ...args: string[]): Promise<string> {
  const output = await capture('env', [`BRAMBLE_SOCKET=/run/bramble-${NODE.name}/agent.sock`, CTL, ...args])
  if (output.exitCode === exitCode) return output.stdout
  throw new Error(`bramblectl ${args.join(' ')}: exit ${output.exitCode}: ${output.stderr}${output.stdout}`)
}

/** With colours on a terminal. */
function table(answers: readonly Answers[]): string {
  const rows = calls.map(({ from, to }, index) => [from, to, ...answers.map(({ cells }) => cells[index] ?? '')])
  const text = renderTable(['FROM', 'TO', ...answers.map(({ title }) => title)], rows)
  return indent(text.replaceAll(/\b(yes|no)\b/g, (word) => styleText(word === 'yes' ? 'green' : 'red', word)))
}

function heading(text: string, command?: string): string {
  return `\n  ${styleText('bold', text)}${command === undefined ? '' : `\n  $ ${command}`}`
}

function indent(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => (line === '' ? '' : `    ${line.trimEnd()}`))
    .join('\n')
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
