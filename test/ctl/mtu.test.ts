import t from 'tap'
import type { MtuReport, PeerPath } from '../../agent/api/mtu-report.ts'
import { isMtuGood, renderMtu } from '../../ctl/mtu.ts'

const golden = (text: string) => text.replace(/^\n|\n$/g, '')

const peer = (change: Partial<PeerPath>): PeerPath => ({
  node: 'pi-2',
  way: 'direct',
  address: '192.168.1.2',
  neededBytes: 1450,
  ...change,
})

const report = (...peers: PeerPath[]): MtuReport => ({
  steps: [
    { what: 'eth0', bytes: 1500, why: 'default route' },
    { what: 'vxlan over IPv4', bytes: -50, why: '1 of 3 other nodes is behind a router' },
  ],
  podMtuBytes: 1450,
  peers,
})

t.test('a node alone shows how the MTU of its pods comes about', async (t) => {
  t.equal(
    renderMtu(report()),
    golden(`
STEP             BYTES  WHY
eth0             1500   default route
vxlan over IPv4  -50    1 of 3 other nodes is behind a router
pods             1450
`),
  )
  t.ok(isMtuGood(report()))
})

t.test('paths that were not measured are shown with what they need, and nothing is claimed of them', async (t) => {
  const unmeasured = report(peer({}), peer({ node: 'pi-3', way: 'vxlan', address: '192.168.2.3', neededBytes: 1500 }))
  t.equal(
    renderMtu(unmeasured),
    golden(`
STEP             BYTES  WHY
eth0             1500   default route
vxlan over IPv4  -50    1 of 3 other nodes is behind a router
pods             1450

NODE  WAY     ADDRESS      NEEDS
pi-2  direct  192.168.1.2  1450
pi-3  vxlan   192.168.2.3  1500
`),
  )
  t.ok(isMtuGood(unmeasured))
})

t.test('a path that carries what is needed, exactly or with bytes to spare, is good', async (t) => {
  const good = report(peer({ measuredBytes: 1450 }), peer({ node: 'pi-1', measuredBytes: 1500 }))
  t.ok(isMtuGood(good))
  t.equal(
    renderMtu(good).split('\n\n').slice(1).join('\n\n'),
    golden(`
NODE  WAY     ADDRESS      NEEDS  MEASURED
pi-1  direct  192.168.1.2  1450   1500
pi-2  direct  192.168.1.2  1450   1450
`),
  )
})

t.test('a path that is too narrow is marked, with the MTU that fits all of them', async (t) => {
  const narrow = report(
    peer({ measuredBytes: 1449 }),
    peer({ node: 'pi-3', way: 'vxlan', address: '192.168.2.3', neededBytes: 1500, measuredBytes: 1400 }),
    peer({ node: 'pi-4', measuredBytes: 1500 }),
  )
  t.notOk(isMtuGood(narrow))
  t.equal(
    renderMtu(narrow).split('\n\n').slice(1).join('\n\n'),
    golden(`
NODE  WAY     ADDRESS      NEEDS  MEASURED
pi-2  direct  192.168.1.2  1450   1449      too narrow by 1 bytes
pi-3  vxlan   192.168.2.3  1500   1400      too narrow by 100 bytes
pi-4  direct  192.168.1.2  1450   1500

packets of pods are too large for 2 of 3 paths: set --mtu 1350 on all nodes
`),
  )
})

t.test('what is wrong besides is told behind; it makes no good path bad', async (t) => {
  const problem = 'larger packets vanish without a word'
  t.match(
    renderMtu(report(peer({ measuredBytes: 1400, problem }))),
    'too narrow by 50 bytes; larger packets vanish without a word\n',
  )
  const wide = report(peer({ measuredBytes: 1480, problem }))
  t.ok(isMtuGood(wide))
  t.match(renderMtu(wide), /1450 +1480 +larger packets vanish without a word$/)
})

t.test('a remedy that IPv6 cannot live with says so', async (t) => {
  const verdict = (measuredBytes: number) =>
    renderMtu(report(peer({ measuredBytes })))
      .split('\n')
      .at(-1)
  t.equal(verdict(1280), 'packets of pods are too large for 1 of 1 paths: set --mtu 1280 on all nodes')
  t.equal(
    verdict(1279),
    'packets of pods are too large for 1 of 1 paths: set --mtu 1279 on all nodes if pods have no IPv6, which needs 1280; else widen the paths',
  )
})

t.test('a path that could not be measured says why, and is not good', async (t) => {
  const dead = report(peer({ problem: 'does not answer' }), peer({ node: 'pi-3', measuredBytes: 1500 }))
  t.notOk(isMtuGood(dead))
  t.equal(
    renderMtu(dead).split('\n\n').slice(1).join('\n\n'),
    golden(`
NODE  WAY     ADDRESS      NEEDS  MEASURED
pi-2  direct  192.168.1.2  1450   -         does not answer
pi-3  direct  192.168.1.2  1450   1500

1 of 2 paths could not be measured
`),
  )
})
