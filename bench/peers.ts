import { writeFileSync } from 'node:fs'
import { cniArgs, type Pod } from './pods.ts'
import type { Job } from './processes.ts'

export type Family = 'IPv4' | 'dual-stack'

/** A CNI plugin, and how to call it as a process. */
export interface Plugin {
  readonly name: string
  readonly program: string
  /** The network namespace that is its node's. */
  readonly node?: string
  /** The file with its network configuration. */
  readonly config: string
  readonly env: Readonly<Record<string, string>>
}

export type Command = 'ADD' | 'DEL'

export function pluginJob(plugin: Plugin, command: Command, pod: Pod): Job {
  return {
    ...(plugin.node && { node: plugin.node }),
    input: plugin.config,
    program: plugin.program,
    env: {
      ...plugin.env,
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: 'eth0',
      CNI_ARGS: cniArgs(pod),
    },
  }
}

const PEERS_DIR = '/usr/lib/cni'

/** `ptp` and `host-local` of containernetworking-plugins at their fastest: no ipMasq, and their state on tmpfs too. */
export function ptp(family: Family, node: string): Plugin {
  const dual = family === 'dual-stack'
  const ipam = {
    type: 'host-local',
    dataDir: `/run/host-local-${family}`,
    ranges: [[{ subnet: '10.43.0.0/16' }], ...(dual ? [[{ subnet: 'fd43::/64' }]] : [])],
    routes: [{ dst: '0.0.0.0/0' }, ...(dual ? [{ dst: '::/0' }] : [])],
  }
  return {
    name: 'ptp + host-local',
    program: `${PEERS_DIR}/ptp`,
    node,
    config: configFile(`ptp-${family}`, { cniVersion: '1.0.0', name: 'ptp', type: 'ptp', mtu: 1500, ipam }),
    env: { CNI_PATH: PEERS_DIR },
  }
}

/** Our plugin, talking to the agent at `socket`. */
export function bramble(program: string, socket: string): Plugin {
  return {
    name: 'bramble',
    program,
    config: configFile('bramble', { cniVersion: '1.0.0', name: 'bramble', type: 'bramble' }),
    env: { CNI_PATH: PEERS_DIR, BRAMBLE_SOCKET: socket },
  }
}

function configFile(name: string, config: object): string {
  const path = `/run/bench/${name}.json`
  writeFileSync(path, JSON.stringify(config))
  return path
}
