import type { ControlCall } from '../agent/api/control.ts'
import type { Commands } from './command.ts'
import { renderManifest } from './manifest.ts'
import { isMtuGood, renderMtu } from './mtu.ts'
import { POLICY_COMMANDS } from './policy-commands.ts'
import { renderDifferences, renderIpam, renderNodes, renderPods, renderRegistry, renderRemoval } from './render.ts'
import { areAllGood, renderAllStatuses, renderStatus } from './status.ts'

const always = () => 0

export const COMMANDS: Commands<ControlCall> = {
  status: {
    describe: 'how this node is; exit code 1 when it has a problem',
    options: ['all', 'watch'],
    render: renderStatus,
    exitCode: ({ problems }) => Number(problems.length > 0),
  },
  'status all': {
    describe:
      'how all nodes are, as they told the API server; exit code 1 when one has a problem, or is silent (or: status --all)',
    options: ['all', 'watch'],
    render: renderAllStatuses,
    exitCode: (rows) => Number(!areAllGood(rows)),
  },
  pods: { describe: 'the pods on this node: addresses, links, containers', render: renderPods, exitCode: always },
  ipam: { describe: 'the address pools: used, cooling, free', render: renderIpam, exitCode: always },
  'ipam check': {
    describe: 'compare leases with the kernel; exit code 1 when they differ',
    render: renderDifferences,
    exitCode: (differences) => Number(differences.length > 0),
  },
  nodes: {
    describe: 'the other nodes, and how their pods are reached; exit code 1 when some are not',
    render: renderNodes,
    exitCode: (nodes) => Number(nodes.some(({ problems }) => problems.length > 0)),
  },
  'node manifest': {
    describe: 'this node as YAML for the folder of --cluster-dir, with what its agent tells the others',
    render: renderManifest,
    exitCode: always,
  },
  'node list': {
    describe: 'all nodes that have pod CIDRs from Redis, and when their agents were there last',
    render: renderRegistry,
    exitCode: always,
  },
  'node remove': {
    args: { text: 'NAME', least: 1, most: 1 },
    options: ['force'],
    describe: 'give the pod CIDRs of a node back that is gone for good; --force for one that may live',
    request: ([name = ''], { force }) => ({ words: { NAME: name, FORCE: force ? '1' : '0' } }),
    render: renderRemoval,
    exitCode: always,
  },
  mtu: {
    describe: 'how the MTU of pods comes about, from the uplink on',
    options: ['probe'],
    render: renderMtu,
    exitCode: (report) => Number(!isMtuGood(report)),
  },
  'mtu probe': {
    describe: 'the same, with packets to every other node; exit code 1 when a path is too narrow (or: mtu --probe)',
    options: ['probe'],
    render: renderMtu,
    exitCode: (report) => Number(!isMtuGood(report)),
  },
  ...POLICY_COMMANDS,
}
