import t from 'tap'
import type { PodRow } from '../../agent/api/control.ts'
import { renderDifferences, renderIpam, renderPods } from '../../ctl/render.ts'

const golden = (text: string) => text.replace(/^\n|\n$/g, '')

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
  t.equal(renderDifferences(['another']), '1 difference between leases and kernel:\n  another')
  t.equal(
    renderDifferences(['link brm0123456789ab has no lease', 'another']),
    '2 differences between leases and kernel:\n  link brm0123456789ab has no lease\n  another',
  )
})
