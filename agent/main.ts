import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Logger } from 'pino'
import { FreedLog } from '../ipam/freed-log.ts'
import { Leases } from '../ipam/leases.ts'
import { CNI_ERROR, CniError } from '../plugin/errors.ts'
import { answerCall } from './api/calls.ts'
import { answerControl } from './api/control.ts'
import { ApiServer } from './api/server.ts'
import { Starting } from './api/starting.ts'
import { problemsOf, troubleOf } from './api/status.ts'
import { bootId, monotonicMs } from './clock.ts'
import { clusterSource } from './cluster/source.ts'
import { tryCluster } from './cluster/try-out.ts'
import type { EndSignal } from './end-signal.ts'
import { policyEnforcement } from './enforcement/from-options.ts'
import { makeWritable } from './folders.ts'
import { enableForwarding } from './forwarding.ts'
import { PublishedPorts } from './hostports/published.ts'
import { IdleMemory } from './idle-memory.ts'
import { Installation } from './install/installation.ts'
import { LazyNftables } from './kernel/lazy-nftables.ts'
import { watchLinkSettings } from './kernel/link-settings.ts'
import { Netlink, NetlinkEvents, RTNLGRP } from './kernel/netlink.ts'
import { notCausedBy } from './kernel/netlink-filter.ts'
import { watchNftables, watchTables } from './kernel/nftables-events.ts'
import { writeSysctlsIn } from './kernel/sysctl.ts'
import { lockNode, lockStateDir } from './lock.ts'
import { openLog } from './log.ts'
import { UplinkMtu } from './mtu/uplink-mtu.ts'
import { nodeAddresses } from './nodes/facts.ts'
import { nodeNetwork } from './nodes/from-options.ts'
import { isRenumbered, joinCluster } from './nodes/join.ts'
import { tunnelPorts } from './nodes/settings.ts'
import { Observation } from './observe/observation.ts'
import { Touch } from './observe/touch.ts'
import type { Options } from './options.ts'
import { CondemnedLinks } from './pods/condemned.ts'
import type { PodNetwork } from './pods/network.ts'
import { deletePending } from './pods/pending.ts'
import { recover } from './pods/recover.ts'
import { PodRepair } from './pods/repair.ts'
import { Turns } from './pods/turns.ts'
import { forgetGoneLinks, watchPodLinks } from './pods/watch.ts'
import { takeOver } from './take-over.ts'

/** Pods may start before this node knows its peers; their MTU had better not. */
const FIRST_NETWORK_MS = 3_000

const STOPPING = 'stopping; pods keep their network'

/** The reason of an ADD that waits for its pod to be known, and is not to hold up the end. */
const ENDING = new CniError(
  CNI_ERROR.tryAgainLater,
  'the agent ends, and the pod is not known yet',
  'try again: the next agent takes over',
)

/**
 * The daemon, from its start to SIGTERM, or until somebody removes its socket or gives the node another pod CIDR. What
 * it programs into the kernel stays when it ends.
 * @throws OverlapError; LockedError, SocketInUseError when another agent is at work; KernelError; Error when the socket
 * was removed
 */
export async function main(options: Options, version: string, endSignal: EndSignal): Promise<void> {
  const log = openLog(options.logLevel)
  endSignal.heed((reason) => {
    log.info({ reason }, STOPPING)
    process.exit(0)
  })
  log.info({ version, pid: process.pid, nodeName: options.nodeName }, 'bramble-agent starts')
  await takeTurn(options, log)
  writeSysctlsIn(options.sysctlDir)
  const installation = new Installation(options, log)
  installation.quietDaemons()
  const observation = new Observation(options, version, log)
  const netlink = new Netlink()

  // Where this node's pods have their addresses: told by whoever started the agent, or by the cluster.
  const starting = await Starting.listen(options, version, log)
  const source = await clusterSource(options, await nodeAddresses(netlink, options.nodeIps), log)
  const podCidrs = await joinCluster(source, netlink, options, options.datastore !== 'local', starting.tell, log)
  await starting.close()
  enableForwarding(
    podCidrs.map(({ family }) => family),
    log,
  )

  const nftables = new LazyNftables()
  const uplinkMtu = new UplinkMtu(netlink, log)
  const { recorder: activity } = observation
  const nodes = nodeNetwork({ options, podCidrs, source, uplinkMtu, netlink, nftables, activity, log })
  const freedLog = new FreedLog(join(options.stateDir, 'freed'), bootId(), (error) =>
    log.warn({ err: error }, 'when addresses were freed is not on record; a restart cuts their rest short'),
  )
  const leases = new Leases(podCidrs, freedLog, monotonicMs)
  const policies = policyEnforcement({ options, leases, source, nftables, activity, log })
  const ports = new PublishedPorts({ netlink, nftables, leases, activity, log })
  const network: PodNetwork = {
    netlink,
    leases,
    condemned: new CondemnedLinks(netlink, log),
    links: new Map(),
    gate: policies,
    ports,
    mtuBytes: async () => options.mtuBytes || (await uplinkMtu.bytes()) - nodes.overheadBytes,
    tunnelPorts: tunnelPorts(options),
    hasIpv6: existsSync('/proc/sys/net/ipv6'),
    pendingDir: join(dirname(options.socket), 'pending'),
    log,
  }
  const turns = new Turns()
  const repair = new PodRepair(network, turns, activity)
  const touch = new Touch(source.server?.name)
  const agent = {
    network,
    nodes,
    policies,
    ports,
    repair,
    source,
    uplinkMtu,
    turns,
    installation,
    observation,
    touch,
    options,
    version,
  }
  const idleMemory = new IdleMemory()

  // Callers are kept waiting from here on; the picture is made whole before the first one is served.
  const ready = Promise.withResolvers<void>()
  const server = await ApiServer.listen(
    options.socket,
    ready.promise,
    (request, gone) => {
      idleMemory.touched()
      return request.kind === 'cni'
        ? observation.call(request.env.CNI_COMMAND, () => answerCall(network, turns, request.env, request.body, gone))
        : answerControl(agent, request.body, request.env)
    },
    log,
  )
  const isAlone = options.datastore === 'local' && options.clusterDir === undefined
  const { ipv4Address, ipv6Address, ...podGroups } = RTNLGRP
  const groups = Object.values(isAlone ? podGroups : RTNLGRP)
  // What the agent does itself is no news to it: of an ADD most stays in the kernel.
  const filter = notCausedBy(netlink.port)
  const events = new NetlinkEvents(groups, [watchPodLinks(network), repair, uplinkMtu, nodes], { filter })
  const settingEvents = watchLinkSettings(repair)
  const isOurs = (port: number) => nftables.isOurs(port)
  const rulesetEvents = watchNftables(isOurs, () => {
    nodes.lookAgain()
    policies.lookAgain('rules')
  })
  const tableEvents = watchTables('bram', isOurs, () => {
    policies.lookAgain('everything')
    ports.lookAgain()
  })
  const told = endSignal.told() // from here on; before, there is nothing to end well
  await recover(network, freedLog.read())
  freedLog.start(() => leases.freed())
  await forgetGoneLinks(network) // those that went while they were listed
  await deletePending(network)
  policies.start()
  await ports.start()
  const renumbered = Promise.withResolvers<'pod CIDR changed'>()
  source.start((change) => {
    touch.heard(change)
    nodes.setView(change)
    if (change.view) policies.setNodes(change.view.nodes, change.changed)
    if (isRenumbered(change.view, options, podCidrs)) renumbered.resolve('pod CIDR changed')
  })
  await nodes.settled(FIRST_NETWORK_MS)
  repair.start()
  ready.resolve()
  installation.begin()
  source.tellNetworkIsUp?.()
  observation.begin({ ...agent, problems: () => problemsOf(agent) }, source.board, () => troubleOf(agent))
  log.info({ socket: options.socket, podCidrs: podCidrs.map(({ text }) => text) }, 'ready')

  const reason = await Promise.race([told, server.gone(), renumbered.promise])
  log.info({ reason }, STOPPING)
  installation.close()
  observation.close()
  policies.letGo(ENDING)
  await source.close()
  await server.close()
  await nodes.close()
  await policies.close()
  await ports.close()
  await network.condemned.flush().catch(() => {}) // logged; the next agent deletes them
  await repair.close()
  events.close()
  settingEvents.close()
  rulesetEvents.close()
  tableEvents.close()
  await nftables.close()
  netlink.close()
  if (reason === 'pod CIDR changed')
    throw new Error('the cluster has given this node another pod CIDR; start the agent again, and it takes that')
  if (reason === 'socket gone')
    throw new Error(`${options.socket} was removed: no plugin could reach this agent any more; start it again`)
}

/**
 * One agent per node.
 * @throws LockedError where another is at work, and this one is not to wait until it has gone; what tryOut throws, while it waits
 */
async function takeTurn(options: Options, log: Logger): Promise<void> {
  const cannotStart = Promise.withResolvers<never>()
  cannotStart.promise.catch(() => {}) // too late: there is no other any more
  const tell = () => {
    log.info('another agent is at work; waiting until it has gone')
    tryOut(options, log).catch(cannotStart.reject)
  }
  for (const lock of [() => lockStateDir(options.stateDir), lockNode])
    if (options.takesOver) await Promise.race([takeOver(lock, tell), cannotStart.promise])
    else lock()
}

/** What can fail beside another agent: one that could not start had better leave that in its place, and end. */
async function tryOut(options: Options, log: Logger): Promise<void> {
  const { socket, cniBinDir, cniConfDir } = options
  makeWritable([dirname(socket), cniBinDir, cniConfDir].filter((folder) => folder !== undefined))
  await tryCluster(options, log)
  log.info('this agent could start')
}
