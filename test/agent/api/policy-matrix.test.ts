import t from 'tap'
import { matrix } from '../../../agent/api/policy-matrix.ts'
import type { AskedPort } from '../../../agent/policy/reach.ts'
import { clusterPolicy, networkPolicy, pod, smallCluster } from '../policy/small-cluster.ts'

type Objects = Parameters<typeof smallCluster>[0]

/** `+`, `o`, `.` for each line, a space where nothing is told. */
async function marks(policies: Objects, asked?: AskedPort, change = {}) {
  const { ends, cells } = await matrix(smallCluster(policies, change).input, 'x', asked)
  const at = (from: number, to: number) => cells.find((cell) => cell.from === from && cell.to === to)?.reach
  const signs = { all: '+', some: 'o', none: '.' }
  return ends.map(({ name }, from) => {
    const line = ends.map((_, to) => {
      const reach = at(from, to)
      return reach ? signs[reach] : ' '
    })
    return `${line.join('')} ${name}`
  })
}

t.test('where there are no policies everybody reaches everybody, and pods are one line', async (t) => {
  t.same(await marks([]), ['++++ a (+1)', '+    y/a (+1)', '+    node pi-1 (+1)', '+    world'])
})

const web = networkPolicy({
  ingress: [
    { from: [{ podSelector: {} }] },
    { from: [{ namespaceSelector: { matchLabels: { ns: 'y' } } }], ports: [{ port: 80 }] },
  ],
})

t.test(
  'pods that policies tell apart are lines of their own; fields say whether all, some or nothing gets through',
  async (t) => {
    t.same(await marks([web]), [' ++++ a', '+ +++ b', 'o+    y/a (+1)', '.+    node pi-1 (+1)', '.+    world'])
  },
)

t.test(
  'a port that is asked for is let through or not; where it is a name and nobody has it, nothing is told',
  async (t) => {
    t.same(await marks([web], { protocol: 'TCP', port: 80 }), [
      ' ++++ a',
      '+ +++ b',
      '++    y/a (+1)',
      '.+    node pi-1 (+1)',
      '.+    world',
    ])
    const pods = [pod('x/b', { ports: [] })]
    t.same(await marks([web], { protocol: 'TCP', port: 'http' }, { pods }), [
      '  +   a',
      '+ +   b',
      '+     y/a (+1)',
      '.     node pi-1 (+1)',
      '.     world',
    ])
    t.match(await matrix(smallCluster([web]).input, 'x', { protocol: 'TCP', port: 81 }), { port: 'TCP 81' })
  },
)

t.test('a field tells what gets through, and which policies decide', async (t) => {
  const { cells } = await matrix(smallCluster([web]).input, 'x', undefined)
  t.match(
    cells.find(({ from, to }) => from === 2 && to === 0),
    {
      reach: 'some',
      ports: 'TCP 80',
      why: [
        'TCP 80: allowed, in: NetworkPolicy x/web, spec.ingress[1]',
        'other TCP; UDP; SCTP; ICMP: denied, in: isolated by NetworkPolicy x/web',
      ],
    },
  )
})

t.test(
  'others that the namespace treats alike are one line, however many policies of their own they have',
  async (t) => {
    const ofY = { ...networkPolicy({}), metadata: { namespace: 'y', name: 'own' } }
    const inY = { ...ofY, spec: { ...ofY.spec, ingress: [{ from: [{ namespaceSelector: {} }] }] } }
    const { ends } = await matrix(smallCluster([web, inY]).input, 'x', undefined)
    t.match(ends[2], { kind: 'pods', count: 2, members: ['y/a', 'y/b'] })
  },
)

t.test('families that differ are told in words', async (t) => {
  const deny4 = clusterPolicy({ egress: [{ action: 'Deny', to: [{ networks: ['0.0.0.0/0'] }] }] })
  const { cells, ends } = await matrix(smallCluster([deny4]).input, 'x', undefined)
  const world = ends.findIndex(({ kind }) => kind === 'outside')
  t.match(
    cells.find(({ to }) => to === world),
    { reach: 'some', ports: 'IPv4: nothing; IPv6: everything' },
  )
})

t.test('a namespace of which no pod has an address is told so', async (t) => {
  await t.rejects(matrix(smallCluster([]).input, 'z', undefined), {
    message: 'no pod of namespace "z" has an address of its own; see: kubectl get pods -A',
  })
})
