import t from 'tap'
import { formatNodeObject } from '../../agent/cluster/node-object.ts'
import type { Encapsulation } from '../../agent/cluster/view.ts'
import { makePrivateKey, publicKeyOf } from '../../agent/wireguard-key.ts'
import { parseCidr } from '../../ipam/address.ts'
import { until } from '../kernel/agent.ts'
import type { Result } from '../kernel/pod.ts'
import { Cable } from './cable.ts'
import { Machine } from './machine.ts'

/*
 * Three kernels on one cable, each with the agent and the plugin as they are built; pods meet in each routing mode:
 *
 *     node test/vm/three-machines.ts [ROUTING...]
 */
interface Mode {
  /** Of pods, in bytes. */
  readonly mtuBytes: number
  readonly isReadable: boolean
  /** Protocols of IPv4 that carry the pods' packets: IANA, Protocol Numbers. */
  readonly protocols: readonly number[]
}
const MODES: Readonly<Record<Encapsulation, Mode>> = {
  vxlan: { mtuBytes: 1450, isReadable: true, protocols: [17] },
  ipip: { mtuBytes: 1476, isReadable: true, protocols: [4, 47] }, // IPv6 pods through GRE
  wireguard: { mtuBytes: 1440, isReadable: false, protocols: [17] },
}
const SECRET = 'bramble-in-clear' // 16 bytes, as many as ping repeats
/** Of the host's time, which may be busy. */
const PATIENCE_MS = 600_000

t.setTimeout(1_800_000)

const isMode = (name: string): name is Encapsulation => Object.hasOwn(MODES, name)
const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(MODES)
const unknown = names.find((name) => !isMode(name))
if (unknown !== undefined) throw new Error(`${unknown} is not one of ${Object.keys(MODES).join(', ')}`)

const NUMBERS = [1, 2, 3]
const privateKeys = NUMBERS.map(makePrivateKey)
const nodeAddress = (number: number) => `192.0.2.${number}`
const podCidrs = (number: number) => [`10.42.${number}.0/24`, `fd42:0:0:${number}::/64`]

const manifests = NUMBERS.map((number, index) =>
  JSON.stringify(
    formatNodeObject({
      name: `n${number}`,
      podCidrs: podCidrs(number).map(parseCidr),
      addresses: [nodeAddress(number)],
      announcement: {
        encapsulations: names.filter(isMode),
        wireguard: { publicKey: publicKeyOf(privateKeys[index] ?? ''), port: 51_820 },
      },
    }),
  ),
)

/** A machine with the number of its node. */
interface Host {
  readonly number: number
  readonly machine: Machine
}

const machines = await Promise.all(
  NUMBERS.map((number) => Machine.boot({ memoryMib: 512, mac: `02:00:00:00:00:0${number}` })),
)
t.teardown(() => {
  for (const machine of machines) machine.end()
})
const hosts: Host[] = machines.map((machine, index) => ({ machine, number: index + 1 }))
const cable = new Cable(machines)
await Promise.all(hosts.map(plugIn))

for (const name of names.filter(isMode)) {
  const { mtuBytes, isReadable, protocols } = MODES[name]
  t.test(`${name}: every pod reaches those of other machines, in packets as large as the MTU`, async (t) => {
    await Promise.all(hosts.map((host) => startAgent(host, name)))
    const pods = await Promise.all(hosts.map((host) => addPod(host, name)))
    // The first packets may be ahead of the last machine's routes.
    let missing: string[] = []
    await until(
      'each pod reaches the others',
      async () => (missing = await unreached(pods, mtuBytes)).length === 0,
      PATIENCE_MS,
    ).catch((error) => t.fail(`${error.message}: ${missing.join('\n')}`))
    cable.take()
    t.same(await unreached(pods, mtuBytes), [])
    const frames = cable.take()

    const packets = frames.filter((frame) => frame.readUInt16BE(12) === 0x0800) // IPv4; linux/if_ether.h
    const large = packets.filter((frame) => frame.length > mtuBytes)
    t.ok(large.length >= 24, 'six pairs, there and back, of each family')
    t.same([...new Set(large.map((frame) => frame.readUInt8(23)))].sort(), protocols)
    t.equal(
      frames.some((frame) => frame.includes(SECRET)),
      isReadable,
      'what pods say can be read on the cable',
    )

    await Promise.all(hosts.map((host) => deletePod(host, name)))
    await Promise.all(hosts.map(stopAgent))
  })
}

/** A machine with an address, and the manifests of all three. */
async function plugIn(host: Host): Promise<void> {
  await must(host, 'ip', 'address', 'add', `${nodeAddress(host.number)}/24`, 'dev', 'eth0')
  await must(host, 'ip', 'link', 'set', 'eth0', 'up')
  await must(host, 'ip', 'route', 'add', 'default', 'via', nodeAddress(254))
  await must(host, 'mkdir', '/run/cluster')
  for (const [index, manifest] of manifests.entries()) await write(host, `/run/cluster/n${index + 1}.json`, manifest)
  await write(host, '/run/wireguard.key', privateKeys[host.number - 1] ?? '')
  await must(host, 'chmod', '600', '/run/wireguard.key')
}

async function startAgent(host: Host, routing: Encapsulation): Promise<void> {
  const agent = [
    ...['dist/bin/bramble-agent', '--node-name', `n${host.number}`, '--cluster-dir', '/run/cluster'],
    ...podCidrs(host.number).map((cidr) => `--pod-cidr=${cidr}`),
    ...['--routing', routing, '--wireguard-key-file', '/run/wireguard.key'],
  ]
  await must(host, 'sh', '-c', '"$@" >/run/agent.log 2>&1 & echo $! >/run/agent.pid', 'sh', ...agent)
  const isReady =
    'until grep -q \'"msg":"ready"\' /run/agent.log; do kill -0 $(cat /run/agent.pid) && sleep 0.2 || exit 1; done'
  const { exitCode } = await host.machine.run(['sh', '-c', isReady], PATIENCE_MS)
  if (exitCode !== 0) throw new Error(`the agent ended: ${await must(host, 'cat', '/run/agent.log')}`)
}

async function stopAgent(host: Host): Promise<void> {
  await must(host, 'sh', '-c', 'kill $(cat /run/agent.pid); while kill -0 $(cat /run/agent.pid); do sleep 0.1; done')
}

interface Pod {
  readonly host: Host
  /** One of each family. */
  readonly addresses: readonly string[]
}

/** The machine's one pod, whose namespace is `pod`. */
async function addPod(host: Host, containerId: string): Promise<Pod> {
  await must(host, 'ip', 'netns', 'add', 'pod')
  const { ips }: Pick<Result, 'ips'> = JSON.parse(await callPlugin(host, 'ADD', containerId))
  return { host, addresses: ips.map(({ address }) => address.replace(/\/.*/, '')) }
}

async function deletePod(host: Host, containerId: string): Promise<void> {
  await callPlugin(host, 'DEL', containerId)
  await must(host, 'ip', 'netns', 'delete', 'pod')
}

function callPlugin(host: Host, command: string, containerId: string): Promise<string> {
  const config = JSON.stringify({ cniVersion: '1.0.0', name: 'bramble', type: 'bramble' })
  const variables = [`CNI_COMMAND=${command}`, `CNI_CONTAINERID=${containerId}`]
  const netns = ['CNI_NETNS=/run/netns/pod', 'CNI_IFNAME=eth0']
  return must(host, 'sh', '-c', 'printf %s "$0" | "$@"', config, 'env', ...variables, ...netns, 'dist/bin/bramble')
}

/** @returns who does not reach whom, with packets of this size that nobody may cut */
async function unreached(pods: readonly Pod[], packetBytes: number): Promise<string[]> {
  const failed: string[] = []
  await Promise.all(
    pods.map(async ({ host }) => {
      const others = pods.filter((pod) => pod.host !== host)
      for (const address of others.flatMap(({ addresses }) => addresses)) {
        const { exitCode, stdout } = await host.machine.run(ping(address, packetBytes))
        if (exitCode !== 0) failed.push(`n${host.number} to ${address}: ${stdout}`)
      }
    }),
  )
  return failed
}

function ping(address: string, packetBytes: number): string[] {
  const headerBytes = address.includes(':') ? 48 : 28
  const content = ['-p', Buffer.from(SECRET).toString('hex'), '-s', String(packetBytes - headerBytes)]
  return ['ip', 'netns', 'exec', 'pod', 'ping', '-n', '-c', '1', '-W', '5', '-M', 'do', ...content, address]
}

async function write(host: Host, path: string, text: string): Promise<void> {
  await must(host, 'sh', '-c', 'printf "%s\\n" "$1" >"$0"', path, text)
}

/** @throws Error when the command fails */
async function must({ machine, number }: Host, ...command: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await machine.run(command)
  if (exitCode !== 0) throw new Error(`n${number}: ${command.join(' ')}: exit ${exitCode}: ${stdout}${stderr}`)
  return stdout
}
