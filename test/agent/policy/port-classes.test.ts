import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Evaluator } from '../../../agent/policy/evaluate.ts'
import { placedPods } from '../../../agent/policy/parties.ts'
import { describePorts, type PortClass, portClasses } from '../../../agent/policy/port-classes.ts'
import { portsBetween } from '../../../agent/policy/reach.ts'
import { cluster } from './clusters.ts'
import { flowOf, flowPick } from './clusters-flows.ts'
import { inputOf } from './clusters-input.ts'
import { hold } from './clusters-runs.ts'
import { siteOf, sitePick } from './clusters-site.ts'

const texts = (classes: readonly PortClass[]) =>
  classes.map(({ protocol, first, last, isRest }) => `${protocol} ${first}-${last}${isRest ? ' and all the rest' : ''}`)

t.test('where no rule names a port there is one class of each protocol', async (t) => {
  t.same(texts(portClasses([], [])), [
    'TCP 1-65535 and all the rest',
    'UDP 1-65535 and all the rest',
    'SCTP 1-65535 and all the rest',
    'ICMP 0-0',
  ])
})

t.test('ranges that overlap are cut where one begins or ends, and so are ports with names', async (t) => {
  const matches = [
    { protocol: 'TCP', first: 80, last: 90 },
    { protocol: 'TCP', first: 85, last: 65_535 },
    { name: 'dns', protocol: 'UDP' },
  ] as const
  t.same(texts(portClasses(matches, [{ name: 'dns', protocol: 'UDP', number: 53 }])), [
    'TCP 80-84',
    'TCP 85-90',
    'TCP 91-65535',
    'TCP 1-79 and all the rest',
    'UDP 53-53',
    'UDP 1-52 and all the rest',
    'SCTP 1-65535 and all the rest',
    'ICMP 0-0',
  ])
})

t.test('a protocol of which every port is named has no rest', async (t) => {
  const all = portClasses([{ protocol: 'TCP', first: 1, last: 65_535 }], [])
  t.same(texts(all).slice(0, 1), ['TCP 1-65535'])
  t.notOk(all.some(({ protocol, isRest }) => protocol === 'TCP' && isRest))
})

t.test('some of the classes are told in as few words as say all of it', async (t) => {
  const all = portClasses(
    [
      { protocol: 'TCP', first: 80, last: 80 },
      { protocol: 'TCP', first: 81, last: 89 },
      { protocol: 'TCP', first: 443, last: 443 },
    ],
    [],
  )
  const described = (isMeant: (one: PortClass) => boolean) => describePorts(new Set(all.filter(isMeant)), all)
  t.equal(
    described(() => true),
    'everything',
  )
  t.equal(
    described(() => false),
    'nothing',
  )
  t.equal(
    described(({ protocol }) => protocol === 'TCP' || protocol === 'ICMP'),
    'TCP; ICMP',
  )
  t.equal(
    described(({ first, isRest }) => !isRest && first > 0),
    'TCP 80-89, 443',
  )
  t.equal(
    described(({ first, protocol }) => protocol === 'TCP' && first !== 80),
    'TCP 81-89, 443, other TCP',
  )
})

t.test('of any cluster and flow, the verdict about a port is that about the first one of its class', async (t) => {
  const all = fc.record({ cluster, site: sitePick, flows: fc.array(flowPick, { minLength: 1, maxLength: 10 }) })
  let compared = 0
  const run = hold(all, 500, ({ cluster, site: pick, flows }) => {
    const site = siteOf(cluster, pick)
    const input = inputOf(cluster, site)
    const evaluator = new Evaluator(input)
    const pods = placedPods(input, evaluator.identities)
    const memberAt = (address: string) => {
      const pod = pods.find(({ addresses }) => addresses.includes(address))
      return { name: address, addresses: [address], ...(pod && { pod }) }
    }
    for (const flow of flows.map((one) => flowOf(cluster, site, one)).filter((one) => one !== undefined)) {
      const { source, destination, protocol, destinationPort: port } = flow
      // Who has an address together with another pod is held to the rules of both.
      if ([source, destination].some((one) => evaluator.identities.at(one).pods.length > 1)) continue
      const classes = portsBetween([evaluator], memberAt(source), memberAt(destination)).filter(
        (one) => one.protocol === protocol,
      )
      const named = classes.find(({ isRest, first, last }) => !isRest && first <= port && port <= last)
      const first = (named ?? classes.find(({ isRest }) => isRest))?.first
      assert(first !== undefined)
      compared++
      assert.equal(
        evaluator.evaluate({ ...flow, destinationPort: first }).isAllowed,
        evaluator.evaluate(flow).isAllowed,
        JSON.stringify({ flow, first }),
      )
    }
  })
  t.pass(`${run}; ${compared} flows`)
  t.ok(compared > 1_000)
})
