import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { pino } from 'pino'
import type { ControlAnswers } from '../../agent/api/control.ts'
import { formatNodeObject } from '../../agent/cluster/node-object.ts'
import type { ClusterNode, ClusterView } from '../../agent/cluster/view.ts'
import { Netlink, NetlinkEvents, RTNLGRP } from '../../agent/kernel/netlink.ts'
import { Nftables } from '../../agent/kernel/nftables.ts'
import { watchNftables } from '../../agent/kernel/nftables-events.ts'
import { NodeNetwork } from '../../agent/nodes/network.ts'
import { nodeSubsystems } from '../../agent/nodes/subsystems.ts'
import { TunnelFeatures } from '../../agent/nodes/tunnel-features.ts'
import { parseCidr } from '../../ipam/address.ts'
import {
  type ClusterState,
  changedBetween,
  SELF_NAME,
  type StateList,
  UPLINK,
  viewOf,
} from '../states/cluster-state.ts'
import { sortedLines } from '../states/kernel-text.ts'
import { shuffled } from '../states/order.ts'
import { Agent, sleep, until } from './agent.ts'
import { kernelTextOf } from './kernel-text.ts'
import { runIn } from './node.ts'

/** A node whose cluster goes from state to state; what is there at the other end of its uplink does not matter. */
export interface StateLab {
  readonly netns: string | undefined
  /** Tells of a state, and of nothing else until it is asked to settle. */
  go(state: ClusterState): Promise<void>
  /** Makes it list the whole kernel, and repair what is not as it should be. */
  lookAgain(): Promise<void>
  /** Waits until the kernel is as the state says, and `status`, too. @throws Error with the difference */
  settle(state: ClusterState): Promise<void>
  close(): Promise<void>
}

/** A node with the list's addresses, and what other programs have on it. @param netns its path; absent: the scratch node */
export async function makeNode({ addresses, gateways }: StateList, netns?: string): Promise<void> {
  const ip = (...args: string[]) => runIn(netns, 'ip', ...args)
  await ip('link', 'set', 'lo', 'up')
  await ip('link', 'add', UPLINK, 'type', 'veth', 'peer', 'name', 'lan')
  await ip('link', 'set', 'lan', 'up')
  await ip('link', 'set', UPLINK, 'up')
  for (const address of addresses)
    await ip('address', 'add', address, 'dev', UPLINK, ...(address.includes(':') ? ['nodad'] : []))
  for (const gateway of gateways) await ip('route', 'add', 'default', 'via', gateway, 'dev', UPLINK)

  const [gateway = ''] = gateways
  const [local = ''] = addresses.map((address) => address.replace(/\/.*/, ''))
  const [network, remote] = gateway.includes(':') ? ['fd99::/48', '2001:db8:2::3'] : ['172.16.0.0/16', '192.168.2.3']
  await ip('link', 'add', 'flannel.1', 'type', 'vxlan', 'id', '1', 'local', local, 'dstport', '8472')
  await ip('link', 'set', 'flannel.1', 'up')
  await ip('route', 'add', network, 'via', gateway, 'proto', 'static')
  await ip('neighbour', 'add', gateway, 'lladdr', '02:00:00:00:00:fe', 'dev', UPLINK)
  await ip('neighbour', 'add', 'fd99::1', 'lladdr', '02:00:00:00:00:99', 'dev', 'flannel.1')
  await runIn(netns, 'bridge', 'fdb', 'add', '02:00:00:00:00:99', 'dev', 'flannel.1', 'dst', remote)
  await runIn(netns, 'nft', 'add table inet foreign; add set inet foreign pods4-24 { type ipv4_addr; }')
  // Link-local addresses come when the kernel likes.
  const areTentative = async () => (await ip('address', 'show', 'tentative')).includes('inet6')
  await until('the addresses are there', async () => !(await areTentative()))
}

/** Links that modules of the kernel put into every namespace as they are loaded, and they are when first needed. */
const FALLBACK = /\b(tunl0|gre0|gretap0|erspan0|sit0|ip6tnl0|ip6gre0)\b/

/** All that is not ours. */
export async function foreignText(netns?: string): Promise<string[]> {
  const texts = await Promise.all([
    runIn(netns, 'ip', '-d', '-o', 'link', 'show'),
    runIn(netns, 'ip', '-o', 'address', 'show'),
    runIn(netns, 'ip', 'neighbour', 'show', 'nud', 'permanent'),
    runIn(netns, 'bridge', 'fdb', 'show'),
    runIn(netns, 'ip', 'route', 'show', 'table', 'all'),
    runIn(netns, 'ip', '-6', 'route', 'show', 'table', 'all'),
    runIn(netns, 'nft', 'list', 'table', 'inet', 'foreign'),
  ])
  return sortedLines(texts.join('\n'))
    .filter((line) => !/\bbramble\.|\bproto 97\b/.test(line) && !FALLBACK.test(line))
    .map((line) => line.replace(/^\d+: /, ''))
}

async function kernelIs(state: ClusterState, netns: string | undefined): Promise<void> {
  const expected = sortedLines(state.kernel)
  let actual: string[] = []
  const isSame = async () => {
    actual = sortedLines(await kernelTextOf(netns))
    return actual.join('\n') === expected.join('\n')
  }
  await until('as the state says', isSame).catch((cause) => {
    const [missing, extra] = [
      expected.filter((one) => !actual.includes(one)),
      actual.filter((one) => !expected.includes(one)),
    ]
    const difference = [...missing.map((one) => `- ${one}`), ...extra.map((one) => `+ ${one}`)]
    throw new Error([`not so in the end: ${state.name}`, ...difference].join('\n'), { cause })
  })
}

/** A real agent, which reads the states from a folder of manifests. */
export class AgentLab implements StateLab {
  readonly netns: string
  readonly #list: StateList
  readonly #folder: string
  #agent: Agent | undefined
  #steps = 0

  constructor(list: StateList, netns: string) {
    this.#list = list
    this.netns = netns
    this.#folder = `${netns}-cluster`
    mkdirSync(this.#folder)
  }

  async start(): Promise<void> {
    this.#agent = await Agent.start({
      netns: basename(this.netns),
      nodeName: SELF_NAME,
      stateDir: `${this.netns}-agent`,
      podCidrs: this.#list.podCidrs,
      args: ['--cluster-dir', this.#folder],
    })
  }

  /** The whole folder anew, whatever is in it already. */
  async go({ nodes }: ClusterState): Promise<void> {
    const step = { name: `step-${++this.#steps}`, podCidrs: [], addresses: [] } // tells that all before it was read
    const files = new Map([...nodes, step].map((node) => [`${node === step ? 'step' : node.name}.json`, node]))
    for (const [file, node] of files) {
      writeFileSync(`${this.#folder}/.new`, JSON.stringify(formatNodeObject(node)))
      renameSync(`${this.#folder}/.new`, `${this.#folder}/${file}`)
    }
    for (const file of readdirSync(this.#folder)) if (!files.has(file)) rmSync(`${this.#folder}/${file}`)
  }

  async settle(state: ClusterState): Promise<void> {
    const step = `step-${this.#steps}`
    await until('the agent has read it', async () => (await this.#ask('nodes')).some(({ node }) => node === step))
    await kernelIs(state, this.netns)
    const expected = (state.problems ?? []).toSorted().join('\n')
    const problems = async () => (await this.#ask('status')).problems.toSorted().join('\n')
    let actual = ''
    await until('status says so', async () => (actual = await problems()) === expected).catch(() => {
      throw new Error(`status says in "${state.name}": ${actual || 'nothing'}`)
    })
  }

  /** By another agent, which knows nothing of the way. @throws Error when that had something to repair */
  async lookAgain(): Promise<void> {
    await this.close()
    await this.start()
    const step = `step-${this.#steps}`
    await until('it has looked', async () => (await this.#ask('nodes')).some(({ node }) => node === step))
    const repairs = this.#agent?.log.filter(({ msg }) => msg === 'network between nodes set')
    if (repairs?.length) throw new Error(`another agent found something to do: ${JSON.stringify(repairs)}`)
  }

  async close(): Promise<void> {
    await this.#agent?.stop()
  }

  #ask<Call extends 'nodes' | 'status'>(call: Call): Promise<ControlAnswers[Call]> {
    if (!this.#agent) throw new Error('the agent was not started')
    return this.#agent.ask(call)
  }
}

/** The same without a source: told node by node what changed, as the API server and Redis tell it; here, in the scratch node. */
export class InProcessLab implements StateLab {
  readonly netns = undefined
  readonly #network: NodeNetwork
  readonly #closing: (() => Promise<void> | void)[]
  #view: ClusterView = viewOf([])
  #seed: number
  #looks = 0

  /** @param seed of the order in which nodes change @param wireguardKey private, base64 */
  constructor(list: StateList, seed: number, wireguardKey?: string) {
    this.#seed = seed
    const netlink = new Netlink()
    const nftables = Nftables.load()
    this.#network = new NodeNetwork({
      netlink,
      subsystems: nodeSubsystems(netlink, nftables, wireguardKey, true),
      thisNode: { name: SELF_NAME, podCidrs: list.podCidrs.map(parseCidr), addresses: [], tellsAddresses: false },
      settings: list.settings,
      features: new TunnelFeatures(list.settings),
      onDesired: () => {},
      onLooked: () => {
        this.#looks++
      },
      log: pino({ level: 'silent' }),
    })
    const events = new NetlinkEvents(Object.values(RTNLGRP), [this.#network])
    const rulesets = watchNftables(
      (port) => nftables.isOurs(port),
      () => this.#network.lookAgain(),
    )
    this.#closing = [
      () => this.#network.close(),
      () => events.close(),
      () => rulesets.close(),
      () => nftables.close(),
      () => netlink.close(),
    ]
  }

  /** One node after the other; now and then the agent gets to work in between. */
  async go({ nodes }: ClusterState): Promise<void> {
    const target = viewOf(nodes).nodes
    const changes = shuffled(changedBetween(this.#view.nodes, target), this.#seed++)
    const current = new Map(this.#view.nodes)
    for (const [index, name] of changes.entries()) {
      const node = target.get(name)
      if (node) current.set(name, node)
      else current.delete(name)
      this.#tell(current, [name])
      if ((this.#seed + index) % 3 === 0) await sleep(0)
    }
    this.#tell(current, changes)
  }

  async settle(state: ClusterState): Promise<void> {
    await kernelIs(state, undefined)
    const expected = (state.problems ?? []).toSorted().join('\n')
    await until(`it says so: ${state.name}`, () => this.#network.problems.toSorted().join('\n') === expected)
  }

  async lookAgain(): Promise<void> {
    const before = this.#looks
    this.#network.lookAgain()
    await until('it has looked at everything', () => this.#looks > before)
  }

  async close(): Promise<void> {
    for (const close of this.#closing) await close()
  }

  #tell(nodes: ReadonlyMap<string, ClusterNode>, changed: Iterable<string>): void {
    this.#view = { nodes: new Map(nodes) }
    this.#network.setView({ view: this.#view, changed: new Set(changed), problems: [] })
  }
}
