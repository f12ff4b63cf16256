import { Writable } from 'node:stream'
import pino from 'pino'
import t from 'tap'
import { DropLog } from '../../agent/enforcement/drop-log.ts'
import { DROP_LOG_GROUP } from '../../agent/ownership.ts'
import type { PolicyInput } from '../../agent/policy/input.ts'
import { until } from './agent.ts'
import { capture, enterScratchNode, run } from './scratch.ts'
import { wirePods } from './wired-pods.ts'

await enterScratchNode()
const { one, two } = await wirePods('one', 'two')
await run(
  'nft',
  `
  table inet test {
    chain forward {
      type filter hook forward priority filter;
      udp dport 53 log group ${DROP_LOG_GROUP} prefix "bramble drop-few" drop
      udp dport 54 log group ${DROP_LOG_GROUP} prefix "bramble drop-many" drop
    }
    chain output {
      type filter hook output priority filter;
      ip saddr 192.0.2.1 udp dport 55 log group ${DROP_LOG_GROUP} prefix "bramble drop-few" drop
    }
  }`,
)

const MANY = Array.from({ length: 1_000 }, (_, number) => `NetworkPolicy x/${'a'.repeat(200)}${number}`)
const ending = (policies: readonly string[]) => ({ effect: 'dropped', direction: 'ingress', policies }) as const
const input: PolicyInput = {
  workloads: { pods: new Map(), namespaces: new Map(), policies: new Map() },
  ...{ nodes: new Map(), nodeName: 'n1', localPods: new Map(), mode: 'default', failsOpen: false },
  tunnelPorts: { vxlan: 4789, wireguard: 51820 },
}
const endings = new Map([
  ['drop-few', ending(MANY.slice(0, 4))],
  ['drop-many', ending(MANY)],
])

const lines: string[] = []
const sink = new Writable({
  write: (line, _, done) => {
    lines.push(String(line))
    done()
  },
})
const log = new DropLog({ input, endingOf: (chain) => endings.get(chain) }, pino(sink))
await log.start()
t.teardown(() => log.close())

async function lineOf(port: number, netns = `/run/netns/${one.name}`): Promise<string> {
  const program = ['bash', '-c', 'exec 3>/dev/udp/$0/$1; echo >&3', two[4], String(port)]
  await capture('nsenter', [`--net=${netns}`, ...program])
  let line: string | undefined
  await until('it is told', async () => {
    line = lines.find((text) => JSON.parse(text).port === port)
    return line !== undefined
  })
  return line ?? ''
}

t.test('a drop is told with the policies that isolate the pod', async (t) => {
  t.match(JSON.parse(await lineOf(53)), { source: one[4], destination: two[4], policies: MANY.slice(0, 4) })
})

t.test('a pod that a thousand policies isolate does not fill the log with their names', async (t) => {
  const line = await lineOf(54)
  t.match(JSON.parse(line), { source: one[4], destination: two[4], policies: MANY.slice(0, 4), morePolicies: 996 })
  t.ok(line.length < 2_000, `${line.length} bytes`)
})

t.test('an address of the node that its Node object does not tell of is the node, and not the world', async (t) => {
  await run('ip', 'address', 'add', '192.0.2.1/32', 'dev', one.hostLink)
  await run('ip', 'route', 'replace', two[4], 'dev', two.hostLink, 'src', '192.0.2.1')
  t.match(JSON.parse(await lineOf(55, '/proc/self/ns/net')), { source: '192.0.2.1', from: 'node n1', to: 'world' })
})
