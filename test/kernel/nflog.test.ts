import { readFileSync } from 'node:fs'
import t from 'tap'
import { Nflog, type NflogOptions } from '../../agent/kernel/nflog.ts'
import type { LoggedPacket } from '../../agent/kernel/nflog-message.ts'
import { until } from './agent.ts'
import { ip } from './node.ts'
import { capture, enterScratchNode, run } from './scratch.ts'
import { wirePods } from './wired-pods.ts'

await enterScratchNode()
const { one, two } = await wirePods('one', 'two')
const GROUP = 0x6272

await run(
  'nft',
  `
  table inet test {
    chain forward {
      type filter hook forward priority filter;
      meta l4proto { tcp, udp } log group ${GROUP} prefix "closed by NetworkPolicy default/web" drop
      icmp type echo-request log group ${GROUP} prefix "no ping"
    }
  }`,
)

/** What a group tells, from now on. */
async function listen(options: Partial<NflogOptions> = {}) {
  const packets: LoggedPacket[] = []
  let lost = 0
  const nflog = await Nflog.bind({
    group: GROUP,
    packetsPerSecondMax: 100,
    onPacket: (packet) => packets.push(packet),
    onLost: (count) => (lost += count),
    ...options,
  })
  return { nflog, packets, lost: () => lost }
}

/** When the group is free for others. */
async function closed(nflog: Nflog): Promise<void> {
  nflog.close()
  await until('the group is free', () => readFileSync('/proc/self/net/netfilter/nfnetlink_log', 'utf8') === '')
}

const inPod = (command: string, ...args: string[]) =>
  capture('nsenter', [`--net=/run/netns/${one.name}`, command, ...args])
const sendUdp = (address: string, port: number) =>
  inPod('bash', '-c', 'exec 3>/dev/udp/$0/$1; echo >&3', address, String(port))
const linkIndex = async (name: string) => (await ip(undefined, 'link', 'show', 'dev', name))[0].ifindex

t.test('a packet that is dropped is told, with its links, its ends and the words of the rule', async (t) => {
  const { nflog, packets } = await listen()
  t.teardown(() => closed(nflog))
  await sendUdp(two[4], 5353)
  await sendUdp(two[6], 5353)
  await until('all three are told', async () => {
    await inPod('timeout', '0.2', 'bash', '-c', 'exec 3>/dev/tcp/$0/80', two[4])
    return packets.length >= 3
  })
  const common = {
    prefix: 'closed by NetworkPolicy default/web',
    inLink: await linkIndex(one.hostLink),
    outLink: await linkIndex(two.hostLink),
  }
  t.match(packets.slice(0, 3), [
    { ...common, sequence: 0, header: { source: one[4], destination: two[4], protocol: 17, destinationPort: 5353 } },
    { ...common, sequence: 1, header: { source: one[6], destination: two[6], protocol: 17, destinationPort: 5353 } },
    { ...common, sequence: 2, header: { source: one[4], destination: two[4], protocol: 6, destinationPort: 80 } },
  ])
})

t.test('of a flood so many are taken as are allowed in a second, and the others are counted', async (t) => {
  const count = 2_000
  const { nflog, packets, lost } = await listen({ packetsPerSecondMax: 10 })
  t.teardown(() => closed(nflog))
  const { stderr } = await inPod('ping', '-f', '-n', '-c', String(count), two[4])
  t.equal(stderr, '')
  t.ok(packets.length < count / 10, `${packets.length} were taken`)
  await until('the next second’s is told, and what was lost before it', async () => {
    await sendUdp(two[4], 9)
    return packets.some(({ header }) => header.destinationPort === 9)
  })
  const logged = (packets.at(-1)?.sequence ?? 0) + 1
  t.ok(logged > count, `${logged} were logged`)
  t.equal(packets.length + lost(), logged, 'each one was told or counted')
})

t.test('a group that another program has is refused with the reason', async (t) => {
  const { nflog } = await listen()
  t.teardown(() => closed(nflog))
  await t.rejects(listen(), {
    code: 'KERNEL',
    errno: 'EPERM',
    message: /another program has group 25202, .*; see \/proc\/net\/netfilter\/nfnetlink_log/,
  })
})
