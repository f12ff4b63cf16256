/** All metrics, in the order in which they are shown. Names and units as Prometheus asks; docs/metrics.md has the same list. Pure. */

export type MetricType = 'counter' | 'gauge' | 'histogram'

interface Definition {
  readonly type: MetricType
  readonly help: string
  readonly labels: readonly string[]
}

export const METRICS = {
  bramble_build_info: {
    type: 'gauge',
    help: 'Always 1; the labels tell what runs.',
    labels: ['version', 'node_version', 'datastore'],
  },
  bramble_ready: { type: 'gauge', help: 'Whether the agent serves container calls: 1 or 0.', labels: [] },
  bramble_problems: { type: 'gauge', help: 'Problems that bramblectl status tells.', labels: [] },
  bramble_cni_call_duration_seconds: {
    type: 'histogram',
    help: 'Container calls, from the request to the answer.',
    labels: ['command', 'outcome'],
  },
  bramble_cni_errors_total: {
    type: 'counter',
    help: 'Container calls that were refused or failed, by the error code of CNI.',
    labels: ['command', 'code'],
  },
  bramble_cni_calls_under_way: {
    type: 'gauge',
    help: 'Containers for which a call runs or waits.',
    labels: [],
  },
  bramble_pods: { type: 'gauge', help: "Interfaces of this node's pods.", labels: [] },
  bramble_links_to_delete: {
    type: 'gauge',
    help: 'Links of pods that have gone, deleted with the next batch.',
    labels: [],
  },
  bramble_pool_capacity_addresses: { type: 'gauge', help: 'Addresses of a pool that pods can get.', labels: ['cidr'] },
  bramble_pool_used_addresses: { type: 'gauge', help: 'Addresses that pods have.', labels: ['cidr'] },
  bramble_pool_cooling_addresses: { type: 'gauge', help: 'Freed addresses that rest.', labels: ['cidr'] },
  bramble_reconcile_duration_seconds: {
    type: 'histogram',
    help: 'Passes of the loops that keep the kernel as it should be.',
    labels: ['loop'],
  },
  bramble_reconcile_errors_total: { type: 'counter', help: 'Passes that failed; they are repeated.', labels: ['loop'] },
  bramble_drift_repairs_total: {
    type: 'counter',
    help: 'Times that another program had changed what is ours, and it was put back.',
    labels: ['loop'],
  },
  bramble_view_age_seconds: {
    type: 'gauge',
    help: 'Since when the datastore is away and the last view in force; 0 while it is heard.',
    labels: [],
  },
  bramble_view_changes_total: { type: 'counter', help: 'Changes of the cluster that the datastore told.', labels: [] },
  bramble_peers: { type: 'gauge', help: 'Other nodes that are known.', labels: [] },
  bramble_peer_ways: { type: 'gauge', help: 'Other nodes by the way to their pods.', labels: ['way'] },
  bramble_peer_way: {
    type: 'gauge',
    help: 'Always 1: the way to the pods of one node; of many nodes, those with no way come first.',
    labels: ['peer', 'way'],
  },
  bramble_mtu_bytes: { type: 'gauge', help: 'MTU that the next pod gets.', labels: [] },
  bramble_policies: { type: 'gauge', help: 'Policies that are known.', labels: [] },
  bramble_policy_packets_total: {
    type: 'counter',
    help: 'Packets that each policy let through, handed on, dropped, or would have dropped.',
    labels: ['policy', 'direction', 'effect'],
  },
  bramble_policy_bytes_total: {
    type: 'counter',
    help: 'Bytes of bramble_policy_packets_total.',
    labels: ['policy', 'direction', 'effect'],
  },
  bramble_dropped_packets_total: {
    type: 'counter',
    help: 'Packets that were dropped, or would have been, each once.',
    labels: ['direction', 'effect'],
  },
  bramble_dropped_bytes_total: {
    type: 'counter',
    help: 'Bytes of bramble_dropped_packets_total.',
    labels: ['direction', 'effect'],
  },
  bramble_nft_elements: { type: 'gauge', help: 'Elements of sets and maps in the table of policies.', labels: [] },
  bramble_nft_chains: { type: 'gauge', help: 'Chains in the table of policies.', labels: [] },
  bramble_nft_unreadable: {
    type: 'gauge',
    help: 'Whether the kernel kept to itself what it has counted: 1 or 0.',
    labels: [],
  },
  bramble_series_left_out: {
    type: 'gauge',
    help: 'Series that are not shown, since there are too many of their kind.',
    labels: ['kind'],
  },
  bramble_event_loop_delay_seconds: {
    type: 'histogram',
    help: 'By how much the agent was late, looked at once a second.',
    labels: [],
  },
  process_cpu_seconds_total: { type: 'counter', help: 'User and system CPU time.', labels: [] },
  process_resident_memory_bytes: { type: 'gauge', help: 'Memory in RAM.', labels: [] },
  process_heap_bytes: { type: 'gauge', help: 'Of it, what JavaScript uses.', labels: [] },
  process_open_fds: { type: 'gauge', help: 'Open file descriptors.', labels: [] },
  process_max_fds: { type: 'gauge', help: 'How many there may be.', labels: [] },
  process_start_time_seconds: { type: 'gauge', help: 'When the agent started, since 1970.', labels: [] },
} as const satisfies Readonly<Record<string, Definition>>

export type MetricName = keyof typeof METRICS
export type LabelsOf<Name extends MetricName> = Readonly<Record<(typeof METRICS)[Name]['labels'][number], string>>
