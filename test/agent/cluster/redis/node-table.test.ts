import t from 'tap'
import { formatNodeObject } from '../../../../agent/cluster/node-object.ts'
import { NodeTable } from '../../../../agent/cluster/redis/node-table.ts'
import { parseCidr } from '../../../../ipam/address.ts'

const text = (name: string, third: number, address = `192.168.1.${third}`) =>
  JSON.stringify(formatNodeObject({ name, podCidrs: [parseCidr(`10.42.${third}.0/24`)], addresses: [address] }))

const table = () => {
  const table = new NodeTable()
  table.replace(
    new Map([
      ['pi-1', text('pi-1', 1)],
      ['pi-2', text('pi-2', 2)],
    ]),
  )
  return table
}

t.test('what changed is named; who did not change is the same object', async (t) => {
  const nodes = table()
  const before = nodes.nodes
  t.same(nodes.put([['pi-2', text('pi-2', 2, '192.168.1.9')]]), new Set(['pi-2']))
  t.not(nodes.nodes, before)
  t.equal(nodes.nodes.get('pi-1'), before.get('pi-1'))
  t.not(nodes.nodes.get('pi-2'), before.get('pi-2'))
})

t.test('another spelling of the same node changes nothing', async (t) => {
  const nodes = table()
  const before = nodes.nodes
  const spelled = JSON.stringify({ ...JSON.parse(text('pi-2', 2)), extra: 1 })
  t.same(nodes.put([['pi-2', spelled]]), new Set())
  t.same(
    nodes.replace(
      new Map([
        ['pi-1', text('pi-1', 1)],
        ['pi-2', spelled],
      ]),
    ),
    new Set(),
  )
  t.equal(nodes.nodes, before)
})

t.test('what cannot be read is what it was before, and told', async (t) => {
  for (const [noise, reason] of [
    ['{', /JSON of a Node is expected; what it was before stays in force/],
    ['7', /the object is 7/],
    [text('pi-7', 2), /says that it is Node pi-7/],
  ] as const) {
    const nodes = table()
    const before = nodes.nodes
    t.same(nodes.put([['pi-2', noise]]), new Set())
    t.equal(nodes.nodes, before)
    t.match(nodes.problems, [{ object: 'Node pi-2', reason }])
    nodes.put([['pi-2', text('pi-2', 2)]])
    t.same(nodes.problems, [])
  }
})

t.test('a newcomer that cannot be read is a problem and no node, and gone when it is removed', async (t) => {
  const nodes = table()
  nodes.put([['pi-3', 'noise']])
  t.notOk(nodes.nodes.has('pi-3'))
  t.match(nodes.problems, [{ object: 'Node pi-3', reason: /is expected$/ }])
  nodes.put([['pi-3', undefined]])
  t.same(nodes.problems, [])
})

t.test('who is not among everything is kept as missing until somebody says that it is gone', async (t) => {
  const nodes = table()
  t.same(nodes.replace(new Map([['pi-1', text('pi-1', 1)]])), new Set())
  t.same(nodes.missing, new Set(['pi-2']))
  t.ok(nodes.nodes.has('pi-2'))
  t.equal(nodes.size, 1)
  t.same(nodes.put([['pi-2', undefined]]), new Set(['pi-2']))
  t.notOk(nodes.nodes.has('pi-2'))
  t.same(nodes.missing, new Set())
})

t.test('who comes back as it was is not missing and not changed', async (t) => {
  const nodes = table()
  nodes.replace(new Map())
  const before = nodes.nodes
  t.same(nodes.put([['pi-2', text('pi-2', 2)]]), new Set())
  t.equal(nodes.nodes, before)
  t.same(nodes.missing, new Set(['pi-1']))
})
