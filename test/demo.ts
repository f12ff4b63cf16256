import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { renderTable } from '../ctl/table.ts'
import { capture, enterScratchNode, makeNetns, run } from './kernel/scratch.ts'

/**
 * `make demo`: a node with two pods, in namespaces that end with this process. What is built is what is run: the
 * plugin as a process, as a container runtime runs it, against the agent.
 */
const PLUGIN = fileURLToPath(new URL('../dist/bin/bramble', import.meta.url))
const AGENT = fileURLToPath(new URL('../dist/bin/bramble-agent', import.meta.url))
const CTL = fileURLToPath(new URL('../dist/bin/bramblectl', import.meta.url))
const CONFIG = JSON.stringify({ cniVersion: '1.1.0', name: 'bramble', type: 'bramble' })
const POD_CIDRS = ['10.42.0.0/24', 'fd42::/64']

interface Pod {
  readonly name: string
  readonly addresses: readonly string[]
  readonly link: string
  readonly addMs: number
}

await enterScratchNode()
say('Bramble: a node and two pods, in namespaces of their own. Nothing of this machine is touched.\n')

const startedAtMs = performance.now()
const agent = await startAgent()
say(`  agent   ready in ${ms(performance.now() - startedAtMs)}, gives out ${POD_CIDRS.join(' and ')}\n`)

const pods = [await addPod('web'), await addPod('db')]
say(picture(pods))
say(heading('What the node knows', 'bramblectl pods'))
say(indent(await run(CTL, 'pods')))
say(heading('The routes of pod web: all it has goes to a gateway that is assigned nowhere', 'ip route; ip -6 route'))
say(indent((await run('ip', '-n', 'web', 'route')) + (await run('ip', '-n', 'web', '-6', 'route'))))
say(heading("The node's: one route per address", 'ip route; ip -6 route'))
say(indent((await run('ip', 'route')) + (await run('ip', '-6', 'route', 'show', 'proto', '98'))))

say(heading('Do they reach each other?', 'ping -c 1'))
const pings = [...(await pingsBetweenPods(pods)), ...(await pingsWithNode(pods))]
say(
  indent(
    renderTable(
      ['FROM', 'TO', 'ADDRESS', 'TIME'],
      pings.map((ping) => [...ping]),
    ),
  ),
)

const timings = await timeCalls()
say(heading('How long does it take?', '50 more pods, one after the other, whole plugin processes'))
say(indent(renderTable(['', 'MEDIAN', 'P95'], timings)))

for (const pod of pods) await callPlugin('DEL', pod.name)
await sleep(300) // links go together, a moment after the DELs
const links = JSON.parse(await run('ip', '-j', 'link')).map(({ ifname }: { ifname: string }) => ifname)
const left = links.filter((name: string) => name !== 'lo')
const check = await capture(CTL, ['ipam', 'check'])
say(heading('After the DELs', 'ip link; bramblectl ipam check'))
say(indent(`links left: ${left.join(', ') || 'none'}\n${check.stdout}`))
await stop(agent)

const isGood = pings.every(([, , , time]) => time !== 'no answer') && left.length === 0 && check.exitCode === 0
say(isGood ? '  All well.\n' : '  Something is wrong: see above.\n')
process.exit(isGood ? 0 : 1)

async function startAgent(): Promise<ChildProcess> {
  const args = POD_CIDRS.map((cidr) => `--pod-cidr=${cidr}`)
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', AGENT, '--node-name', 'pi-1', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let log = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (log += text))
  while (!log.includes('"msg":"ready"')) {
    if (child.exitCode !== null) throw new Error('the agent did not start')
    await sleep(5)
  }
  return child
}

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

async function addPod(name: string): Promise<Pod> {
  await makeNetns(name)
  await run('ip', '-n', name, 'link', 'set', 'lo', 'up')
  const { stdout, durationMs } = await callPlugin('ADD', name)
  const result = JSON.parse(stdout)
  return {
    name,
    addresses: result.ips.map(({ address }: { address: string }) => address),
    link: result.interfaces[0].name,
    addMs: durationMs,
  }
}

async function callPlugin(command: string, name: string): Promise<{ stdout: string; durationMs: number }> {
  Object.assign(process.env, {
    CNI_COMMAND: command,
    CNI_CONTAINERID: `demo-${name}`,
    CNI_NETNS: `/run/netns/${name}`,
    CNI_IFNAME: 'eth0',
    CNI_ARGS: `K8S_POD_NAMESPACE=demo;K8S_POD_NAME=${name}`,
  })
  const beginMs = performance.now()
  const { exitCode, stdout, stderr } = await capture(PLUGIN, [], CONFIG)
  const durationMs = performance.now() - beginMs
  if (exitCode !== 0) throw new Error(`${command} ${name}: ${stdout}${stderr}`)
  return { stdout, durationMs }
}

async function pingsBetweenPods([a, b]: readonly Pod[]): Promise<string[][]> {
  const rows: string[][] = []
  for (const [from, to] of [
    [a, b],
    [b, a],
  ])
    for (const cidr of to?.addresses ?? [])
      rows.push([`pod ${from?.name}`, `pod ${to?.name}`, bare(cidr), await ping(bare(cidr), from?.name)])
  return rows
}

async function pingsWithNode(pods: readonly Pod[]): Promise<string[][]> {
  await run('ip', 'address', 'add', '192.0.2.1/32', 'dev', 'lo')
  await run('ip', 'address', 'add', '2001:db8::1/128', 'dev', 'lo')
  const rows: string[][] = []
  for (const { name, addresses } of pods) {
    for (const node of ['192.0.2.1', '2001:db8::1']) rows.push([`pod ${name}`, 'node', node, await ping(node, name)])
    for (const cidr of addresses) rows.push(['node', `pod ${name}`, bare(cidr), await ping(bare(cidr))])
  }
  return rows
}

async function ping(address: string, fromPod?: string): Promise<string> {
  const command = ['ping', '-n', '-c', '1', '-W', '2', address]
  const output = await (fromPod ? capture('ip', ['netns', 'exec', fromPod, ...command]) : capture('env', command))
  const [, time] = /time=([\d.]+) ms/.exec(output.stdout) ?? []
  return time ? `${time} ms` : 'no answer'
}

async function timeCalls(): Promise<string[][]> {
  const names = Array.from({ length: 50 }, (_, index) => `more-${index}`)
  for (const name of names) await makeNetns(name)
  const timed = async (command: string) => {
    const durations: number[] = []
    for (const name of names) durations.push((await callPlugin(command, name)).durationMs)
    durations.sort((x, y) => x - y)
    return [command, ms(durations[25] ?? 0), ms(durations[47] ?? 0)]
  }
  return [await timed('ADD'), await timed('DEL')]
}

function picture([a, b]: readonly Pod[]): string {
  const top = (pod?: Pod) => `┌─ pod ${pod?.name} `.padEnd(27, '─').concat('┐')
  const line = (text: string) => `│ ${text.padEnd(25)}│`
  const beside = (left: string, right: string) => `  ${left}    ${right}`
  const foot = '└────────────┬─────────────┘'
  const node = (text: string) => `  │ ${text.padEnd(57)}│`
  return [
    beside(top(a), top(b)),
    beside(line(`eth0  ${a?.addresses[0]}`), line(`eth0  ${b?.addresses[0]}`)),
    beside(line(`      ${a?.addresses[1]}`), line(`      ${b?.addresses[1]}`)),
    beside(foot, foot),
    `${' '.repeat(15)}│ one veth pair each${' '.repeat(12)}│`,
    `  ┌─ node pi-1 ┴${'─'.repeat(31)}┴${'─'.repeat(13)}┐`,
    node(`${a?.link.padEnd(32)}${b?.link}`),
    node('answers for 169.254.1.1 and fe80::ecee:eeff:feee:eeee'),
    `  └${'─'.repeat(58)}┘`,
    `  wired in ${ms(a?.addMs ?? 0)} and ${ms(b?.addMs ?? 0)}, the plugin's process included`,
  ].join('\n')
}

function heading(text: string, command: string): string {
  return `\n  ${text}\n  $ ${command}`
}

function indent(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `    ${line.trimEnd()}`)
    .join('\n')
}

function bare(cidr: string): string {
  return cidr.slice(0, cidr.indexOf('/'))
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
