import { makeNetns, run } from './scratch.ts'

/** A pod as the kernel sees it, made by hand: for what is about rules and connections, and not about how pods come. */
export interface WiredPod {
  /** Also of its network namespace. */
  readonly name: string
  readonly hostLink: string
  readonly mac: string
  readonly 4: string
  readonly 6: string
}

const GATEWAY = { 4: '169.254.1.1', 6: 'fe80::1' } as const
/** The node as its pods see it; both are on `lo`. */
export const NODE_ADDRESS = { 4: '192.0.2.1', 6: '2001:db8::1' } as const

/** Makes this scratch node a router between pods: 10.42.0.2 and fd42::2 is the first. */
export async function wirePods<const Name extends string>(...names: Name[]): Promise<Record<Name, WiredPod>> {
  for (const setting of ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']) await run('sysctl', '-qw', setting)
  await run('ip', 'address', 'add', `${NODE_ADDRESS[4]}/32`, 'dev', 'lo')
  await run('ip', 'address', 'add', `${NODE_ADDRESS[6]}/128`, 'dev', 'lo', 'nodad')
  const pods = []
  for (const [index, name] of names.entries()) pods.push([name, await wirePod(name, index + 2)])
  return Object.fromEntries(pods)
}

async function wirePod(name: string, number: number): Promise<WiredPod> {
  const mac = `02:00:00:00:00:0${number}`
  const pod = { name, hostLink: `brm00000000000${number}`, mac, 4: `10.42.0.${number}`, 6: `fd42::${number}` }
  await makeNetns(name)
  const peer = ['peer', 'name', 'eth0', 'address', mac, 'netns', name]
  await run('ip', 'link', 'add', pod.hostLink, 'type', 'veth', ...peer)
  await run('ip', '-n', name, 'link', 'set', 'lo', 'up')
  for (const family of [4, 6] as const) {
    const length = family === 4 ? 32 : 128
    const noDad = family === 6 ? ['nodad'] : []
    await run('ip', 'address', 'add', `${GATEWAY[family]}/${family === 4 ? 32 : 64}`, 'dev', pod.hostLink, ...noDad)
    await run('ip', '-n', name, 'address', 'add', `${pod[family]}/${length}`, 'dev', 'eth0', ...noDad)
    await run('ip', 'link', 'set', pod.hostLink, 'up')
    await run('ip', '-n', name, 'link', 'set', 'eth0', 'up')
    await run('ip', `-${family}`, 'route', 'add', pod[family], 'dev', pod.hostLink)
    await run(
      'ip',
      '-n',
      name,
      `-${family}`,
      'route',
      'add',
      'default',
      'via',
      GATEWAY[family],
      'dev',
      'eth0',
      'onlink',
    )
  }
  return pod
}
