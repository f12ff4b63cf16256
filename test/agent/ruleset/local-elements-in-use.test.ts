import fc from 'fast-check'
import t from 'tap'
import type { LocalPod } from '../../../agent/policy/input.ts'
import { type LocalElements, localElements } from '../../../agent/ruleset/local-elements.ts'
import { LocalElementsInUse } from '../../../agent/ruleset/local-elements-in-use.ts'

const LINKS = ['brm000000000001', 'brm000000000002', 'brm000000000003']
const pod = (link: string, ...addresses: string[]): LocalPod => ({
  pod: undefined,
  uid: undefined,
  link,
  mac: `02:00:00:00:00:0${link.at(-1)}`,
  addresses,
  isUnknown: false,
})
const asText = (elements: LocalElements) =>
  Array.from(elements, ([name, some]) => [name, Array.from(some, (pair) => pair.join()).sort()])

t.test('an address goes to the next one that claims it, and only those concerned are told of', async (t) => {
  const elements = new LocalElementsInUse()
  const entries = () => ({ ingress: 'in-1', egress: undefined })
  const [first = '', second = '', third = ''] = LINKS
  for (const link of [first, second]) elements.take(link, pod(link, '10.42.0.5'))
  elements.take(third, pod(third, '10.42.0.6'))
  elements.settle([], entries)
  elements.take(first, undefined)
  const { before, after } = elements.settle([], entries)
  t.same([...(before.get('links4')?.keys() ?? [])], [`${first} . 02:00:00:00:00:01 . 10.42.0.5`])
  t.same([...(after.get('links4')?.keys() ?? [])], [`${second} . 02:00:00:00:00:02 . 10.42.0.5`])
  t.same(before.get('ingress4'), after.get('ingress4'))
})

t.test('after any changes all is as if it had been made at once, and what was told adds up to it', async () => {
  const step = fc.record({
    link: fc.constantFrom(...LINKS),
    addresses: fc.option(fc.uniqueArray(fc.constantFrom('10.42.0.5', '10.42.0.6', 'fd42::5'), { maxLength: 2 })),
    chain: fc.option(fc.constantFrom('in-1', 'in-2'), { nil: undefined }),
    isSettled: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const elements = new LocalElementsInUse()
      const pods = new Map<string, LocalPod>()
      const chains = new Map<string, string | undefined>()
      const entriesOf = (link: string) => ({ ingress: chains.get(link), egress: undefined })
      const told = new Map(Array.from(localElements([], entriesOf), ([name]) => [name, new Map<string, string>()]))
      const ruled = new Set<string>()
      const settle = () => {
        const { before, after } = elements.settle(ruled, entriesOf)
        ruled.clear()
        for (const [name, some] of before)
          for (const [key, chain] of some) {
            if (told.get(name)?.get(key) !== chain) throw new Error(`${name} ${key} was not there before`)
            told.get(name)?.delete(key)
          }
        for (const [name, some] of after) for (const [key, chain] of some) told.get(name)?.set(key, chain)
      }
      for (const { link, addresses, chain, isSettled } of steps) {
        const changed = addresses === null ? undefined : pod(link, ...addresses)
        if (changed) pods.set(link, changed)
        else pods.delete(link)
        elements.take(link, changed)
        chains.set(link, chain)
        ruled.add(link)
        if (isSettled) settle()
      }
      settle()
      const expected = JSON.stringify(asText(localElements(pods.values(), entriesOf)))
      return JSON.stringify(asText(elements.all)) === expected && JSON.stringify(asText(told)) === expected
    }),
    { numRuns: 500 },
  )
})
