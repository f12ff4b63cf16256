import { readFileSync } from 'node:fs'
import { until } from './agent.ts'
import { capture, run } from './scratch.ts'

/** What a test looks at: the kernel's state by the words of `ip`, of the node or of one of its network namespaces. */

// biome-ignore lint/suspicious/noExplicitAny: tests look into it, and fail where it is not what they expect
type Json = any

/** An uplink with a default route in both families; nobody is at its other end. */
export async function addUplink(name = 'uplink', { mtuBytes = 1500, number = 1 } = {}): Promise<void> {
  const peer = `${name}-peer`
  await run('ip', 'link', 'add', name, 'mtu', String(mtuBytes), 'type', 'veth', 'peer', peer, 'mtu', String(mtuBytes))
  for (const link of [name, peer]) await run('ip', 'link', 'set', link, 'up')
  await run('ip', 'address', 'add', `192.0.2.${number}/24`, 'dev', name)
  await run('ip', 'address', 'add', `2001:db8::${number}/64`, 'dev', name, 'nodad')
  const metric = ['metric', String(100 * number)]
  await run('ip', 'route', 'add', 'default', 'via', '192.0.2.254', 'dev', name, ...metric)
  await run('ip', 'route', 'add', 'default', 'via', '2001:db8::254', 'dev', name, ...metric)
  await until('both ends have a carrier', async () => {
    const links: { ifname: string; operstate: string }[] = await ip(undefined, 'link', 'show', 'type', 'veth')
    return links.every(({ ifname, operstate }) => ![name, peer].includes(ifname) || operstate === 'UP')
  })
}

/** The node's addresses on the first uplink. */
export const NODE = { 4: '192.0.2.1', 6: '2001:db8::1' } as const

/** Runs a program in a network namespace, or on the node where none is given. @throws Error when it fails */
export function runIn(netns: string | undefined, program: string, ...args: readonly string[]): Promise<string> {
  return netns ? run('nsenter', `--net=${netns}`, program, ...args) : run(program, ...args)
}

/** `ip -json -details …` */
export async function ip(netns: string | undefined, ...args: readonly string[]): Promise<Json> {
  return JSON.parse((await runIn(netns, 'ip', '-json', '-details', ...args)) || '[]')
}

/** One line per object, without the trailing blanks of `ip`. */
export async function ipLines(netns: string | undefined, ...args: readonly string[]): Promise<string[]> {
  const output = await runIn(netns, 'ip', ...args)
  return output
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .filter((line) => line !== '')
}

/** The link of that name. @throws Error when it is not there */
export async function link(netns: string | undefined, name: string): Promise<Json> {
  return (await ip(netns, 'link', 'show', 'dev', name))[0]
}

export async function linkNames(netns?: string): Promise<string[]> {
  return (await ip(netns, 'link', 'show')).map(({ ifname }: { ifname: string }) => ifname)
}

/** A setting by its path below /proc/sys/net. */
export async function sysctl(netns: string | undefined, key: string): Promise<string> {
  if (!netns) return readFileSync(`/proc/sys/net/${key}`, 'utf8').trim()
  return (await runIn(netns, 'cat', `/proc/sys/net/${key}`)).trim()
}

export async function setSysctl(netns: string | undefined, key: string, value: string): Promise<void> {
  await runIn(
    netns,
    'sysctl',
    '-qw',
    `net.${key.replaceAll('.', '%').replaceAll('/', '.').replaceAll('%', '/')}=${value}`,
  )
}

/**
 * Sends one echo request, the very first packet if it is the first call.
 * @returns whether the answer came within a second
 */
export async function pings(
  netns: string | undefined,
  target: string,
  ...options: readonly string[]
): Promise<boolean> {
  const args = ['-n', '-c', '1', '-W', '1', ...options, target]
  const { exitCode } = await (netns ? capture('nsenter', [`--net=${netns}`, 'ping', ...args]) : capture('ping', args))
  return exitCode === 0
}
