import { hostname } from 'node:os'
import { DATASTORES } from '../cluster/settings.ts'
import { ROUTINGS } from '../desired/way.ts'
import { POLICY_MODES } from '../policy/input.ts'

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const

/** All options, as yargs takes them, in the order of --help. */
export const FLAGS = {
  datastore: {
    nargs: 1,
    choices: DATASTORES,
    default: 'local' as const,
    describe: 'where the cluster is known from: manifests in --cluster-dir, the API server, or Redis',
  },
  'node-name': {
    type: 'string',
    nargs: 1,
    default: hostname(),
    defaultDescription: 'the host name',
    describe: 'name of this node',
  },
  'node-ip': {
    type: 'string',
    array: true,
    nargs: 1,
    describe: 'where other nodes reach this one; repeat it for the other IP family',
    defaultDescription: "the cluster's word, or else the first address of the uplink",
  },
  'pod-cidr': {
    type: 'string',
    array: true,
    nargs: 1,
    describe: "addresses for this node's pods, like 10.42.0.0/24; repeat it for the other IP family (local)",
  },
  'cluster-cidr': {
    type: 'string',
    array: true,
    nargs: 1,
    describe: 'addresses of the pods of all nodes, like 10.42.0.0/16; with Redis each node gets its part of it',
  },
  'node-mask': {
    type: 'number',
    nargs: 1,
    default: 24,
    describe: "prefix length of a node's part of the IPv4 --cluster-cidr (redis)",
  },
  'node-mask-ipv6': { type: 'number', nargs: 1, default: 64, describe: 'the same for IPv6 (redis)' },
  'service-cidr': {
    type: 'string',
    array: true,
    nargs: 1,
    describe: 'addresses of Services, which no pods may have',
  },
  'cluster-dir': {
    type: 'string',
    nargs: 1,
    describe: "folder with the cluster's nodes, as Kubernetes manifests (Node objects); watched (local)",
  },
  kubeconfig: {
    type: 'string',
    nargs: 1,
    defaultDescription: "the pod's service account",
    describe: 'how the API server is reached (kubernetes)',
  },
  'redis-url': {
    type: 'string',
    nargs: 1,
    describe: 'redis://USER:PASSWORD@HOST:PORT/DB, or rediss:// for TLS; better by BRAMBLE_REDIS_URL (redis)',
  },
  'redis-ca': { type: 'string', nargs: 1, describe: 'file with the certificate authority of Redis (redis)' },
  'redis-cert': { type: 'string', nargs: 1, describe: 'file with our certificate, where Redis asks for one (redis)' },
  'redis-key': { type: 'string', nargs: 1, describe: 'file with the key of --redis-cert (redis)' },
  routing: {
    nargs: 1,
    choices: ROUTINGS,
    default: 'auto' as const,
    describe: 'the way to other nodes: direct in the same subnet, a tunnel to the rest (auto); or one of them',
  },
  // Switches are texts to yargs: of a boolean it takes "yes" for a no.
  encrypt: {
    type: 'string',
    defaultDescription: 'no',
    describe: 'all traffic of pods between nodes goes through WireGuard',
  },
  'vxlan-vni': { type: 'number', nargs: 1, default: 4096, describe: 'number of the VXLAN network' },
  'vxlan-port': { type: 'number', nargs: 1, default: 4789, describe: 'UDP port of VXLAN' },
  'wireguard-port': { type: 'number', nargs: 1, default: 51_820, describe: 'UDP port of WireGuard' },
  'wireguard-key-file': {
    type: 'string',
    nargs: 1,
    defaultDescription: 'wireguard.key in --state-dir',
    describe: 'where the private key is kept; made once',
  },
  'wireguard-keepalive': {
    type: 'number',
    nargs: 1,
    default: 0,
    describe: 'seconds between packets that keep a way through NAT open; 0: none',
  },
  mtu: {
    type: 'number',
    nargs: 1,
    default: 0,
    describe: 'MTU of pods in bytes; 0: that of the uplinks to other nodes, less what tunnels take',
  },
  masquerade: {
    type: 'string',
    defaultDescription: 'yes',
    describe: "pods speak to the outside with the node's address; =false: with their own",
  },
  'no-masquerade-cidr': {
    type: 'string',
    array: true,
    nargs: 1,
    describe: 'where they speak with their own, besides other pods; may be repeated',
  },
  'policy-mode': {
    nargs: 1,
    choices: POLICY_MODES,
    default: 'default' as const,
    describe:
      'pods that no policy selects are open (default) or closed (always); or nothing is dropped, only counted (never)',
  },
  'policy-wait': {
    type: 'number',
    nargs: 1,
    default: 5,
    describe:
      'seconds for which a pod that starts waits to be known to the cluster; after that it is closed until it is',
  },
  'policy-fail-open': {
    type: 'string',
    defaultDescription: 'no',
    describe: 'pods that are not known after that are open instead',
  },
  socket: {
    type: 'string',
    nargs: 1,
    defaultDescription: 'agent.sock in --state-dir',
    describe: 'where the plugin finds the agent',
  },
  'state-dir': { type: 'string', nargs: 1, default: '/run/bramble', describe: 'small records; keep it on tmpfs' },
  'cni-bin-dir': {
    type: 'string',
    nargs: 1,
    defaultDescription: 'none: it is put nowhere',
    describe: 'where the agent puts the plugin: the folder of the container runtime, like /opt/cni/bin',
  },
  'cni-conf-dir': {
    type: 'string',
    nargs: 1,
    defaultDescription: 'none: it is put nowhere',
    describe: 'where it puts the network configuration, once it can serve: like /etc/cni/net.d',
  },
  'sysctl-dir': {
    type: 'string',
    nargs: 1,
    default: '/proc/sys/net',
    describe: "where kernel settings are written; in a container, where the node's /proc/sys/net is mounted",
  },
  'metrics-address': {
    type: 'string',
    nargs: 1,
    default: '127.0.0.1:9739',
    describe: "where Prometheus finds /metrics; 0.0.0.0:9739: at all of the node's IPv4 addresses; empty: nowhere",
  },
  'take-over': {
    type: 'string',
    defaultDescription: 'no: it is refused to start beside another one',
    describe: 'waits until the agent before this one has gone, and is loaded by then',
  },
  'log-level': {
    nargs: 1,
    choices: LOG_LEVELS,
    default: 'info' as const,
    describe: 'how much to log, as JSON lines on stdout',
  },
} as const
