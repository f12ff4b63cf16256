import t from 'tap'
import { type KernelListing, ownAddresses } from '../../../agent/nodes/facts.ts'

const link = (index: number, name: string) => ({
  index,
  name,
  kind: '',
  mac: '',
  mtuBytes: 1500,
  group: 0,
  isUp: true,
  altNames: [],
  parameters: Buffer.alloc(0),
})
const LISTING: KernelListing = {
  links: [link(2, 'docker0'), link(3, 'eth0')] as unknown as KernelListing['links'],
  addresses: [
    { address: '172.17.0.1', prefixLength: 16, linkIndex: 2 },
    { address: '169.254.7.7', prefixLength: 16, linkIndex: 3 },
    { address: '192.168.1.7', prefixLength: 24, linkIndex: 3 },
    { address: '2001:db8::3', prefixLength: 64, linkIndex: 3, isPassing: true },
    { address: '2001:db8::2', prefixLength: 64, linkIndex: 3 },
    { address: '2001:db8::1', prefixLength: 64, linkIndex: 3 },
    { address: 'fe80::1', prefixLength: 64, linkIndex: 3 },
  ],
  routes: [{ destination: '0.0.0.0/0', linkIndex: 3 }] as unknown as KernelListing['routes'],
}

t.test('where others reach this node is an address that lasts, on a link that leads out', async (t) => {
  t.same(ownAddresses(LISTING), ['192.168.1.7', '2001:db8::2'])
})

t.test('a newer address does not take the place of the one by which others know the node', async (t) => {
  t.same(ownAddresses(LISTING, ['192.168.1.7', '2001:db8::1']), ['192.168.1.7', '2001:db8::1'])
  t.same(ownAddresses(LISTING, ['2001:db8::3']), ['192.168.1.7', '2001:db8::2'], 'but one that lasts does')
})

t.test('an address that passes is better than none', async (t) => {
  const passing = LISTING.addresses.filter(({ isPassing }) => isPassing)
  t.same(ownAddresses({ ...LISTING, addresses: passing }), ['2001:db8::3'])
})
