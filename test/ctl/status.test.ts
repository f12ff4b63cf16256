import t from 'tap'
import type { NodeStatusRow, Status } from '../../agent/api/control.ts'
import { areAllGood, renderAllStatuses, renderStatus } from '../../ctl/status.ts'

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

t.test('of thousands of problems the first fifty are shown, and how many there are', async (t) => {
  const problems = Array.from({ length: 10_000 }, (_, index) => `Node g${index}: noise`)
  const lines = renderStatus({ ...STATUS, problems }).split('\n')
  t.equal(lines.filter((line) => line.endsWith(': noise')).length, 50)
  t.equal(lines.at(-1)?.trim(), 'and 9950 more; see -o json')
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

t.test('an agent that serves tells the age of all that it says', async (t) => {
  const detail: Status['detail'] = {
    pools: [
      { cidr: '10.42.0.0/24', capacity: 255, used: 12, cooling: 3, free: 240 },
      { cidr: 'fd42::/64', capacity: 2 ** 64, used: 12, cooling: 3, free: 2 ** 64 },
    ],
    ways: [
      { way: 'direct', count: 2, nodes: ['pi-2', 'pi-3'] },
      { way: 'none', count: 7, nodes: ['pi-5', 'pi-6'] },
    ],
    source: { server: 'the API server https://10.0.0.1:6443', awaySeconds: 90, changedSecondsAgo: 600 },
    settledSecondsAgo: { nodes: 30, policies: 7200 },
    problems: [
      { text: 'one', secondsAgo: 5 },
      { text: 'another', secondsAgo: 600 },
    ],
    lastError: { text: 'ADD: no address is free', secondsAgo: 180 },
    repairs: [
      { loop: 'policies', text: 'the table of policies (the table is gone)', secondsAgo: 40 },
      { loop: 'nodes', text: 'the network between nodes (route 10.42.2.0/24)', secondsAgo: 600 },
    ],
  }
  t.equal(
    renderStatus({ ...STATUS, datastore: 'kubernetes', problems: ['one', 'another'], detail }),
    golden(`
node             pi-4
agent            0.1.0, pid 4711, up 2 h
datastore        kubernetes, the API server https://10.0.0.1:6443 is away since 90 s, changed 10 min ago
pod CIDRs        10.42.0.0/24, fd42::/64
addresses        12 of 255 used, 3 cooling
                 12 used, 3 cooling
MTU of new pods  1450 bytes
pods             12
policies         7
other nodes      4
                 2 direct: pi-2, pi-3
                 7 not reached: pi-5, pi-6, …
under way        1 calls, 3 links to delete
memory           61.3 MiB
as it should be  ways to nodes 30 s ago, policies 2 h ago
last error       3 min ago: ADD: no address is free
repaired         40 s ago, what another program had changed: the table of policies (the table is gone)
                 10 min ago, what another program had changed: the network between nodes (route 10.42.2.0/24)
health           one (since 5 s)
                 another (since 10 min)
`),
  )
})

const PUBLISHED = {
  version: '0.1.0',
  pods: 12,
  mtuBytes: 1450,
  policies: 7,
  ways: { direct: 2 },
  usedPercent: 5,
  problems: 0,
}
const ROWS: readonly NodeStatusRow[] = [
  { node: 'pi-1', status: PUBLISHED, secondsAgo: 0, isSilent: false },
  {
    node: 'pi-2',
    status: { ...PUBLISHED, ways: {}, problems: 3, problem: 'the module vxlan is missing' },
    secondsAgo: 300,
    isSilent: false,
  },
  { node: 'pi-3', status: PUBLISHED, secondsAgo: 7200, isSilent: true },
  { node: 'pi-4', isSilent: true },
  {
    node: 'pi-5',
    status: PUBLISHED,
    secondsAgo: 300,
    isSilent: false,
    trouble: { text: 'the node is away', secondsAgo: 180 },
  },
  {
    node: 'pi-6',
    status: { ...PUBLISHED, problems: 1, problem: 'vxlan is missing' },
    secondsAgo: 300,
    isSilent: true,
    trouble: { text: 'no pod of the agent is on it' },
  },
  { node: 'pi-7', isSilent: true, trouble: { text: 'no agent has ever run on it' } },
]

t.test('status of all nodes has one line for each, and names those that say nothing', async (t) => {
  t.equal(
    renderAllStatuses(ROWS),
    golden(`
NODE  AGENT  PODS  POOL  OTHER NODES  MTU   POLICIES  TOLD       HEALTH
pi-1  0.1.0  12    5 %   2 direct     1450  7         0 s ago    good
pi-2  0.1.0  12    5 %   0            1450  7         5 min ago  the module vxlan is missing (and 2 more)
pi-3  0.1.0  12    5 %   2 direct     1450  7         2 h ago    silent; was: good; on it: bramblectl status
pi-4  -      -     -     -            -     -         -          silent: its agent has told nothing; on it: bramblectl status
pi-5  0.1.0  12    5 %   2 direct     1450  7         5 min ago  the node is away (since 3 min)
pi-6  0.1.0  12    5 %   2 direct     1450  7         5 min ago  no pod of the agent is on it; was: vxlan is missing
pi-7  -      -     -     -            -     -         -          no agent has ever run on it
`),
  )
})

t.test('all nodes are well when each has spoken and complains of nothing', async (t) => {
  t.equal(areAllGood(ROWS.slice(0, 1)), true)
  for (const index of [1, 2, 3, 4, 5, 6]) t.equal(areAllGood(ROWS.slice(index, index + 1)), false)
})
