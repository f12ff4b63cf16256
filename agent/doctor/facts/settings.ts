import type { Settings } from '../facts.ts'
import type { Places } from '../places.ts'

const NET = '/proc/sys/net'

export function settings(places: Places): Settings {
  const read = (key: string) => places.read(`${NET}/${key}`)?.trim()
  const number = (key: string) => Number(read(key) ?? Number.NaN)
  const all = number('ipv4/conf/all/rp_filter')
  const links = places.list(`${NET}/ipv4/conf`).filter((name) => name !== 'all' && name !== 'default')
  const [count, max] = [number('netfilter/nf_conntrack_count'), number('netfilter/nf_conntrack_max')]
  return {
    forwarding: { 4: read('ipv4/ip_forward'), 6: read('ipv6/conf/all/forwarding') },
    reversePathFilter: new Map(links.map((name) => [name, Math.max(all, number(`ipv4/conf/${name}/rp_filter`))])),
    conntrack: Number.isNaN(count) || Number.isNaN(max) ? undefined : { count, max },
  }
}
