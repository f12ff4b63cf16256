import { inNetns, openNetns } from '../../../agent/kernel/netns.ts'
import { capture, makeNetns, run } from '../scratch.ts'

/** A machine in a network namespace, on a LAN of its router, which is the scratch node itself. */
export interface Machine {
  readonly name: string
  readonly number: number
  readonly address: string
  readonly ipv6Address: string
}

/** LAN number N has 192.168.N.0/24 and fd00:N::/64. */
export async function makeLan(lan: number): Promise<void> {
  await run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
  await run('ip', 'link', 'add', `lan${lan}`, 'type', 'bridge')
  await run('ip', 'address', 'add', `192.168.${lan}.254/24`, 'dev', `lan${lan}`)
  await run('ip', 'address', 'add', `fd00:${lan}::fe/64`, 'dev', `lan${lan}`, 'nodad')
  await run('ip', 'link', 'set', `lan${lan}`, 'up')
}

/** Machine number N has the pods of 10.42.N.0/24 and fd42:N::/64. */
export async function plugIn(number: number, lan: number): Promise<Machine> {
  const name = `machine${number}`
  const machine = { name, number, address: `192.168.${lan}.${number}`, ipv6Address: `fd00:${lan}::${number}` }
  await makeNetns(name)
  await run('ip', 'link', 'add', `to-${number}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
  await run('ip', 'link', 'set', `to-${number}`, 'master', `lan${lan}`, 'up')
  await run('ip', '-n', name, 'link', 'set', 'lo', 'up')
  await run('ip', '-n', name, 'address', 'add', `${machine.address}/24`, 'dev', 'eth0')
  await run('ip', '-n', name, 'address', 'add', `${machine.ipv6Address}/64`, 'dev', 'eth0', 'nodad')
  await run('ip', '-n', name, 'link', 'set', 'eth0', 'up')
  await run('ip', '-n', name, 'route', 'add', 'default', 'via', `192.168.${lan}.254`)
  await run('ip', '-n', name, 'route', 'add', 'default', 'via', `fd00:${lan}::fe`)
  return machine
}

export const podAddress = ({ number }: Machine, family: 4 | 6) =>
  family === 4 ? `10.42.${number}.1` : `fd42:${number}::1`
export const podCidr = ({ number }: Machine, family: 4 | 6) =>
  family === 4 ? `10.42.${number}.0/24` : `fd42:${number}::/64`

/** What `work` opens stays in the machine's namespace. */
export function inside<T>({ name }: Machine, work: () => T): T {
  const netns = openNetns(`/run/netns/${name}`)
  try {
    return inNetns(netns, work)
  } finally {
    netns.close()
  }
}

/** What ping says to one packet of this size, which must not be cut. @returns undefined when it came back */
export async function failsToPing(
  { name }: Machine,
  address: string,
  packetBytes: number,
): Promise<string | undefined> {
  const headerBytes = address.includes(':') ? 48 : 28
  const options = ['-n', '-c', '1', '-W', '2', '-M', 'do', '-s', String(packetBytes - headerBytes)]
  const { exitCode, stdout, stderr } = await capture('ip', ['netns', 'exec', name, 'ping', ...options, address])
  return exitCode === 0 ? undefined : stdout + stderr
}
