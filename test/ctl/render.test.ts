import t from 'tap'
import type { PodRow, Status } from '../../agent/api/control.ts'
import { renderDifferences, renderIpam, renderPods, renderStatus } from '../../ctl/render.ts'

const STATUS: Status = {
  version: '0.1.0',
  nodeName: 'pi-4',
  pid: 4711,
  uptimeSeconds: 7300,
  datastore: 'local',
  podCidrs: ['10.42.0.0/24', 'fd42::/64'],
  mtuBytes: 1450,
  pods: 12,
  policies: 7,
  peers: 4,
  callsUnderWay: 1,
  linksToDelete: 3,
  memoryRssBytes: 61.25 * 1024 * 1024,
  problems: [],
}

const golden = (text: string) => text.replace(/^\n|\n$/g, '')

t.test('status of a node that is well', async (t) => {
  t.equal(
    renderStatus(STATUS),
    golden(`
node             pi-4
agent            0.1.0, pid 4711, up 2 h
datastore        local
pod CIDRs        10.42.0.0/24, fd42::/64
MTU of new pods  1450 bytes
pods             12
policies         7
other nodes      4
under way        1 calls, 3 links to delete
memory           61.3 MiB
health           good
`),
  )
})

t.test('status names every problem, one below the other', async (t) => {
  t.match(
    renderStatus({ ...STATUS, problems: ['no address is free in 10.42.0.0/24: all 255 are held', 'another'] }),
    '\nhealth           no address is free in 10.42.0.0/24: all 255 are held\n                 another',
  )
})

t.test('how long an agent is up is told in the unit that fits', async (t) => {
  const up = (uptimeSeconds: number) => /up (.*)\n/.exec(renderStatus({ ...STATUS, uptimeSeconds }))?.[1]
  t.same([0, 119, 120, 7199, 7200, 172_799, 172_800].map(up), [
    '0 s',
    '119 s',
    '2 min',
    '119 min',
    '2 h',
    '47 h',
    '2 days',
  ])
})

const pod = (change: Partial<PodRow>): PodRow => ({
  pod: 'default/web',
  ifname: 'eth0',
  addresses: ['10.42.0.7', 'fd42::7'],
  link: 'brm0123456789ab',
  containerId: 'c1',
  network: 'pods',
  ...change,
})

t.test('pods are sorted by name and interface; long container ids are shortened', async (t) => {
  t.equal(
    renderPods([
      pod({ ifname: 'eth1', addresses: ['10.42.0.8'] }),
      pod({}),
      pod({ pod: '', containerId: '0123456789abcdef0123456789abcdef' }),
      pod({ pod: 'default/api', containerId: '0123456789abcdef' }),
    ]),
    golden(`
POD          INTERFACE  ADDRESSES          LINK             CONTAINER         NETWORK
-            eth0       10.42.0.7 fd42::7  brm0123456789ab  0123456789abc...  pods
default/api  eth0       10.42.0.7 fd42::7  brm0123456789ab  0123456789abcdef  pods
default/web  eth0       10.42.0.7 fd42::7  brm0123456789ab  c1                pods
default/web  eth1       10.42.0.8          brm0123456789ab  c1                pods
`),
  )
})

t.test('no pods are said in words', async (t) => {
  t.equal(renderPods([]), 'no pod has an address from this agent')
})

t.test('ipam shows pools with how full they are; a /64 in round numbers', async (t) => {
  t.equal(
    renderIpam([
      { cidr: '10.42.0.0/24', capacity: 255, used: 64, cooling: 2, free: 189 },
      {
        cidr: 'fd42::/64',
        capacity: Number.MAX_SAFE_INTEGER - 1,
        used: 64,
        cooling: 2,
        free: Number.MAX_SAFE_INTEGER - 67,
      },
      { cidr: '10.43.0.0/31', capacity: 1, used: 1, cooling: 0, free: 0 },
      { cidr: '10.44.0.0/24', capacity: 255, used: 0, cooling: 0, free: 255 },
    ]),
    golden(`
POOL          ADDRESSES  USED  COOLING  FREE
10.42.0.0/24  255        64    2        189     25 % ██████░░░░░░░░░░░░░░
fd42::/64     >10^9      64    2        >10^9    0 % █░░░░░░░░░░░░░░░░░░░
10.43.0.0/31  1          1     0        0      100 % ████████████████████
10.44.0.0/24  255        0     0        255      0 % ░░░░░░░░░░░░░░░░░░░░
`),
  )
})

t.test('ipam check says that all is well, or every difference', async (t) => {
  t.equal(renderDifferences([]), 'leases and kernel agree')
  t.equal(
    renderDifferences(['link brm0123456789ab has no lease', 'another']),
    '2 differences between leases and kernel:\n  link brm0123456789ab has no lease\n  another',
  )
})
