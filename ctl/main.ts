import yargs from 'yargs'
import type { ControlAnswers, ControlCall } from '../agent/api/control.ts'
import { ask } from './ask.ts'
import { renderManifest } from './manifest.ts'
import { isMtuGood, renderMtu } from './mtu.ts'
import {
  renderDifferences,
  renderIpam,
  renderNodes,
  renderPods,
  renderRegistry,
  renderRemoval,
  renderStatus,
} from './render.ts'

/** The command line is wrong; the message says how. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly code = 'USAGE' as const
}

const COMMANDS: {
  [Call in ControlCall]: {
    readonly describe: string
    readonly render: (answer: ControlAnswers[Call]) => string
    /** Whether the exit code is 0. */
    readonly isGood: (answer: ControlAnswers[Call]) => boolean
    /** A word that follows the command, as --help shows it. */
    readonly argument?: string
  }
} = {
  status: {
    describe: 'how this node is; exit code 1 when it has a problem',
    render: renderStatus,
    isGood: ({ problems }) => problems.length === 0,
  },
  pods: { describe: 'the pods on this node: addresses, links, containers', render: renderPods, isGood: () => true },
  ipam: { describe: 'the address pools: used, cooling, free', render: renderIpam, isGood: () => true },
  'ipam check': {
    describe: 'compare leases with the kernel; exit code 1 when they differ',
    render: renderDifferences,
    isGood: (differences) => differences.length === 0,
  },
  nodes: {
    describe: 'the other nodes, and how their pods are reached; exit code 1 when some are not',
    render: renderNodes,
    isGood: (nodes) => nodes.every(({ problems }) => problems.length === 0),
  },
  'node manifest': {
    describe: 'this node as YAML for the folder of --cluster-dir, with what its agent tells the others',
    render: renderManifest,
    isGood: () => true,
  },
  'node list': {
    describe: 'all nodes that have pod CIDRs from Redis, and when their agents were there last',
    render: renderRegistry,
    isGood: () => true,
  },
  'node remove': {
    argument: 'NAME',
    describe: 'give the pod CIDRs of a node back that is gone for good; --force for one that may live',
    render: renderRemoval,
    isGood: () => true,
  },
  mtu: { describe: 'how the MTU of pods comes about, from the uplink on', render: renderMtu, isGood: isMtuGood },
  'mtu probe': {
    describe: 'the same, with packets to every other node; exit code 1 when a path is too narrow (or: mtu --probe)',
    render: renderMtu,
    isGood: isMtuGood,
  },
}

/**
 * @returns the exit code
 * @throws UsageError, AskError
 */
export async function main(argv: readonly string[], version: string): Promise<number> {
  let printed = false
  const parser = yargs([...argv])
    .scriptName('bramblectl')
    .usage(
      `$0 <command> [options]\n\nTells how this node's pod network is.\n\nCommands:\n${Object.entries(COMMANDS)
        .map(([name, { describe, argument = '' }]) => `  ${`${name} ${argument}`.padEnd(18)}${describe}`)
        .join('\n')}`,
    )
    .options({
      socket: {
        type: 'string',
        nargs: 1,
        default: process.env.BRAMBLE_SOCKET ?? '/run/bramble/agent.sock',
        defaultDescription: 'BRAMBLE_SOCKET, or /run/bramble/agent.sock',
        describe: "the agent's socket",
      },
      output: {
        alias: 'o',
        nargs: 1,
        choices: ['table', 'json'] as const,
        default: 'table' as const,
        describe: 'how to print',
      },
      force: { type: 'boolean', default: false, hidden: true, describe: 'node remove: although it may live' },
      probe: { type: 'boolean', default: false, hidden: true, describe: 'mtu: measure the paths to all nodes' },
    })
    .version(version)
    .help()
    .strictOptions()
    .wrap(100)
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message, error) => {
      throw new UsageError((message || String(error?.message)).replace(/\s*\n\s*/g, ' '))
    })
  const given = await parser.parseAsync([...argv], {}, (_error, _argv, output) => {
    if (!output) return
    printed = true
    process.stdout.write(`${output}\n`)
  })
  if (printed) return 0
  for (const option of ['socket', 'output'] as const)
    if (Array.isArray(given[option])) throw new UsageError(`--${option} is given more than once`)
  const words = [...given._.map(String), ...(given.probe ? ['probe'] : [])]
  const { call, argument } = commandOf(words)
  return show(call, argument, given.force, given.socket, given.output)
}

/** The longest command that the words begin with; one word may follow where it takes one. @throws UsageError */
function commandOf(words: readonly string[]): { readonly call: ControlCall; readonly argument: string | undefined } {
  const all = words.join(' ')
  if (Object.hasOwn(COMMANDS, all) && !COMMANDS[all as ControlCall].argument)
    return { call: all as ControlCall, argument: undefined }
  const call = words.slice(0, -1).join(' ') as ControlCall
  if (Object.hasOwn(COMMANDS, call) && COMMANDS[call].argument) return { call, argument: words.at(-1) }
  if (Object.hasOwn(COMMANDS, all)) throw new UsageError(`${all} needs ${COMMANDS[all as ControlCall].argument}`)
  const problem = all === '' ? 'no command' : `"${all}" is no command`
  throw new UsageError(`${problem}; use one of: ${Object.keys(COMMANDS).join(', ')}`)
}

async function show<Call extends ControlCall>(
  call: Call,
  argument: string | undefined,
  isForced: boolean,
  socket: string,
  output: 'table' | 'json',
): Promise<number> {
  const words = argument === undefined ? {} : { NAME: argument, FORCE: isForced ? '1' : '0' }
  const answer = await ask(socket, call, words)
  const { render, isGood } = COMMANDS[call]
  process.stdout.write(`${output === 'json' ? JSON.stringify(answer, null, 2) : render(answer)}\n`)
  return isGood(answer) ? 0 : 1
}
