import t from 'tap'
import { eventsOf, type Trouble } from '../../../agent/observe/node-events.ts'

const NONE: Trouble = { degraded: [], policies: [], exhaustedCidrs: [], installation: [], repairs: [] }

t.test('a node that is well has nothing to tell', async (t) => {
  t.same(eventsOf(NONE), [])
})

t.test('each kind of trouble is one Event, with what a person should do', async (t) => {
  const repairs = [
    { loop: 'policies', what: 'the table is gone', atMs: 1 },
    { loop: 'policies', what: 'the table is gone', atMs: 2 },
  ] as const
  t.same(
    eventsOf({
      degraded: ['the module vxlan is missing'],
      policies: ['policies cannot be brought into the kernel: EPERM'],
      exhaustedCidrs: ['10.42.0.0/24'],
      installation: ['/etc/cni/net.d/05-x.conf comes first'],
      repairs,
    }),
    [
      { reason: 'NetworkDegraded', message: 'the module vxlan is missing' },
      { reason: 'PoliciesNotEnforced', message: 'policies cannot be brought into the kernel: EPERM' },
      { reason: 'AddressPoolExhausted', message: 'no address is free in 10.42.0.0/24: see bramblectl ipam' },
      { reason: 'OtherNetworkFirst', message: '/etc/cni/net.d/05-x.conf comes first' },
      {
        reason: 'DriftRepaired',
        message: 'another program changed the table of policies (the table is gone); it is whole again',
      },
    ],
  )
})

t.test('of many troubles some are told, and that there are more; the API server takes 1024 bytes', async (t) => {
  const degraded = Array.from({ length: 40 }, (_, index) => `${index} ${'x'.repeat(2000)}`)
  const [event] = eventsOf({ ...NONE, degraded })
  t.match(event?.message, /; and 37 more: bramblectl status$/)
  t.ok(Buffer.byteLength(event?.message ?? '') <= 1024)
})
