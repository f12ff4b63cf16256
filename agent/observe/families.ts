import type { CounterValue, PolicyCounter } from '../ruleset/table.ts'
import { type Family, family } from './family.ts'

/** Of a kind of series that clusters make more of, so many are shown: what a Prometheus on a Pi can take of each node. */
export const MOST_PEERS = 100
export const MOST_POLICY_SERIES = 500

/** The agent at one moment, as values. */
export interface Now {
  readonly version: string
  readonly nodeVersion: string
  readonly datastore: string
  readonly problems: number
  readonly callsUnderWay: number
  readonly pods: number
  readonly linksToDelete: number
  readonly pools: readonly {
    readonly cidr: string
    readonly capacity: number
    readonly used: number
    readonly cooling: number
  }[]
  readonly viewAgeSeconds: number
  readonly viewChanges: number
  /** By the peer's name; `none` among them where its pods are not reached. */
  readonly peers: ReadonlyMap<string, readonly string[]>
  readonly mtuBytes: number
  readonly policies: number
  /** What should be in the kernel; absent while that is not known. */
  readonly table?: {
    readonly elements: number
    readonly chains: number
    readonly counters: readonly PolicyCounter[]
  }
  /** By the counter's name; undefined when the kernel did not tell. */
  readonly counted: ReadonlyMap<string, CounterValue> | undefined
}

/** What is, as metrics. Pure. */
export function familiesOf(now: Now): Family[] {
  const { peers, left: peersLeftOut } = peerSeries(now.peers)
  const { packets, bytes, left: policiesLeftOut } = policySeries(now)
  const { packets: droppedPackets, bytes: droppedBytes } = droppedSeries(now)
  const ways = Map.groupBy([...now.peers.values()].flat(), (way) => way)
  const pools = (of: (pool: Now['pools'][number]) => number) =>
    now.pools.map((pool) => [{ cidr: pool.cidr }, of(pool)] as const)
  const { version, nodeVersion, datastore } = now
  return [
    family('bramble_build_info', [[{ version, node_version: nodeVersion, datastore }, 1]]),
    family('bramble_ready', [[{}, 1]]),
    family('bramble_problems', [[{}, now.problems]]),
    family('bramble_cni_calls_under_way', [[{}, now.callsUnderWay]]),
    family('bramble_pods', [[{}, now.pods]]),
    family('bramble_links_to_delete', [[{}, now.linksToDelete]]),
    family(
      'bramble_pool_capacity_addresses',
      pools(({ capacity }) => capacity),
    ),
    family(
      'bramble_pool_used_addresses',
      pools(({ used }) => used),
    ),
    family(
      'bramble_pool_cooling_addresses',
      pools(({ cooling }) => cooling),
    ),
    family('bramble_view_age_seconds', [[{}, now.viewAgeSeconds]]),
    family('bramble_view_changes_total', [[{}, now.viewChanges]]),
    family('bramble_peers', [[{}, now.peers.size]]),
    family(
      'bramble_peer_ways',
      Array.from(ways, ([way, all]) => [{ way }, all.length] as const),
    ),
    family('bramble_peer_way', peers),
    family('bramble_mtu_bytes', [[{}, now.mtuBytes]]),
    family('bramble_policies', [[{}, now.policies]]),
    family('bramble_policy_packets_total', packets),
    family('bramble_policy_bytes_total', bytes),
    family('bramble_dropped_packets_total', droppedPackets),
    family('bramble_dropped_bytes_total', droppedBytes),
    ...(now.table
      ? [
          family('bramble_nft_elements', [[{}, now.table.elements]]),
          family('bramble_nft_chains', [[{}, now.table.chains]]),
        ]
      : []),
    family('bramble_nft_unreadable', [[{}, Number(now.counted === undefined)]]),
    family('bramble_series_left_out', [
      [{ kind: 'peer' }, peersLeftOut],
      [{ kind: 'policy' }, policiesLeftOut],
    ]),
  ]
}

/** Those that are not reached first, then by name: it should be the same ones each time. */
function peerSeries(peers: Now['peers']) {
  const isLost = ([, ways]: readonly [string, readonly string[]]) => ways.includes('none')
  const inOrder = [...peers].sort((a, b) => Number(isLost(b)) - Number(isLost(a)) || (a[0] < b[0] ? -1 : 1))
  const shown = inOrder.slice(0, MOST_PEERS)
  return {
    peers: shown.flatMap(([peer, ways]) => [...new Set(ways)].map((way) => [{ peer, way }, 1] as const)),
    left: inOrder.length - shown.length,
  }
}

/** Of each policy, direction and effect there is one counter. */
function policySeries({ table, counted }: Now) {
  const found = (table?.counters ?? []).flatMap(({ name, effect, direction = '', policy }) => {
    const value = counted?.get(name)
    return value && policy !== undefined ? [{ labels: { policy, direction, effect }, ...value }] : []
  })
  const keyOf = ({ labels }: (typeof found)[number]) => Object.values(labels).join('\n')
  const inOrder = found.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  const shown = inOrder.slice(0, MOST_POLICY_SERIES)
  return {
    packets: shown.map(({ labels, packets }) => [labels, packets] as const),
    bytes: shown.map(({ labels, bytes }) => [labels, bytes] as const),
    left: inOrder.length - shown.length,
  }
}

/** A packet that several policies drop is counted by each of them, and here once. */
function droppedSeries({ table, counted }: Now) {
  const found = (table?.counters ?? []).flatMap(({ name, effect, direction = '', policy }) => {
    const value = counted?.get(name)
    return value && policy === undefined ? [{ labels: { direction, effect }, ...value }] : []
  })
  return {
    packets: found.map(({ labels, packets }) => [labels, packets] as const),
    bytes: found.map(({ labels, bytes }) => [labels, bytes] as const),
  }
}
