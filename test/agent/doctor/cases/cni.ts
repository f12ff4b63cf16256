import type { CniConfig } from '../../../../agent/doctor/facts.ts'
import { FLANNEL, HEALTHY, PLACE, place } from '../healthy.ts'
import type { Case } from './case.ts'

const { agent, cni, machine } = HEALTHY

/** The file that the agent writes. */
const OURS = PLACE.configs[0] as CniConfig

export const CNI_CASES: readonly Case[] = [
  {
    title: 'no configuration of ours',
    check: 'conflist-missing',
    facts: place({ configs: [FLANNEL] }),
    says: [['error', /in \/etc\/cni\/net\.d names bramble/]],
  },
  {
    title: 'the configuration of another network comes first',
    check: 'conflist-order',
    facts: place({ configs: [FLANNEL, ...PLACE.configs] }),
    says: [['error', /05-flannel\.conflist \(network cbr0: flannel, portmap\) comes before/]],
    commands: ['mv /etc/cni/net.d/05-flannel.conflist /etc/cni/net.d/05-flannel.conflist.disabled'],
  },
  {
    title: 'Multus, which calls us in its turn, may come first',
    check: 'conflist-order',
    facts: place({
      configs: [{ file: '00-multus.conf', name: 'multus', types: ['multus-shim'], portMappers: [] }, ...PLACE.configs],
    }),
    says: [],
  },
  {
    title: 'one that is broken comes first: what counts is the first that is whole',
    check: 'conflist-order',
    facts: place({ configs: [{ ...FLANNEL, error: 'it is empty', types: [] }, ...PLACE.configs] }),
    says: [],
  },
  {
    title: 'the name of a file is no command',
    check: 'conflist-order',
    facts: place({ configs: [{ ...FLANNEL, file: "0'$(reboot).conf" }, ...PLACE.configs] }),
    says: [['error', /reboot/]],
    commands: [`mv '/etc/cni/net.d/0'\\''$(reboot).conf' '/etc/cni/net.d/0'\\''$(reboot).conf.disabled'`],
  },
  {
    title: 'a configuration that a power cut has emptied',
    check: 'conflist-broken',
    facts: place({ configs: [...PLACE.configs, { ...FLANNEL, error: 'it is empty', types: [] }] }),
    says: [['warning', /05-flannel\.conflist is no network configuration: it is empty/]],
  },
  {
    title: 'a file of somebody else that lets nobody hear of hostPorts',
    check: 'hostports-unhandled',
    facts: place({ configs: [{ ...OURS, types: ['bramble', 'portmap'], portMappers: [] }] }),
    says: [['warning', /10-bramble\.conflist gives no plugin the capability portMappings/]],
  },
  {
    title: 'portmap that is chained does them',
    check: 'hostports-unhandled',
    facts: place({ configs: [{ ...OURS, portMappers: ['portmap'] }] }),
    says: [],
  },
  {
    title: 'what Multus hands on to us is not seen in its file, and another network is told otherwise',
    check: 'hostports-unhandled',
    facts: place({
      configs: [{ file: '00-multus.conf', name: 'multus', types: ['multus-shim'], portMappers: [] }, OURS],
    }),
    says: [],
  },
  {
    title: 'no plugin',
    check: 'plugin-missing',
    facts: place({ programs: ['portmap'], pluginVersion: undefined }),
    says: [['error', /no plugin \/opt\/cni\/bin\/bramble/]],
  },
  {
    title: 'no plugin in Kubernetes, where its agent brings it',
    check: 'plugin-missing',
    facts: { ...place({ programs: ['portmap'], pluginVersion: undefined }), agent: { ...agent, runsAs: 'pod' } },
    says: [['error', /no plugin \/opt\/cni\/bin\/bramble/]],
    commands: ['kubectl -n kube-system rollout restart daemonset bramble'],
  },
  {
    title: 'a plugin that does not run',
    check: 'plugin-missing',
    facts: place({ pluginVersion: undefined }),
    says: [['error', /\/opt\/cni\/bin\/bramble does not run/]],
  },
  {
    title: 'a plugin of the chain that is not there',
    check: 'chained-plugin-missing',
    facts: place({ programs: ['bramble'] }),
    says: [['error', /10-bramble\.conflist chains portmap, which is not in \/opt\/cni\/bin/]],
    commands: ['apt install containernetworking-plugins', 'cp /usr/lib/cni/portmap /opt/cni/bin/'],
  },
  {
    title: 'the same on Alpine, which has them in another package and folder',
    check: 'chained-plugin-missing',
    facts: { ...place({ programs: ['bramble'] }), machine: { ...machine, osRelease: 'ID=alpine\n' } },
    says: [['error', /portmap/]],
    commands: ['apk add cni-plugins', 'cp /usr/libexec/cni/portmap /opt/cni/bin/'],
  },
  {
    title: 'what another network chains is its own affair',
    check: 'chained-plugin-missing',
    facts: place({ configs: [FLANNEL, ...PLACE.configs], programs: ['bramble'] }),
    says: [],
  },
  {
    title: 'a containerd that looks elsewhere',
    check: 'runtime-paths',
    facts: {
      cni: {
        ...cni,
        runtime: { file: '/etc/containerd/config.toml', confDir: '/etc/cni/k8s', binDir: '/opt/cni/bin' },
      },
    },
    says: [['error', /config\.toml says conf_dir = \/etc\/cni\/k8s; Bramble is in \/etc\/cni\/net\.d/]],
  },
  {
    title: "the plugins' folder of Debian's own containerd",
    check: 'runtime-paths',
    facts: { cni: { ...cni, runtime: { file: '/etc/containerd/config.toml', binDir: '/usr/lib/cni' } } },
    says: [['error', /config\.toml says bin_dir = \/usr\/lib\/cni; Bramble is in/]],
  },
  {
    title: 'a pod that does not see what containerd was told does not say that all is well',
    check: 'runtime-paths',
    facts: { cni: { ...cni, runtime: undefined, unseenRuntime: 'the pod does not see those files' } },
    says: [],
    unknown: /does not see those files/,
  },
]
