import { basename } from 'node:path'
import { leadsToUs } from '../../install/conflist.ts'
import { check } from '../check.ts'
import type { CniPlace } from '../facts.ts'
import { command, type Finding, shellWord } from '../finding.ts'
import { RESTART_PODS } from './restart-pods.ts'
import { setAside } from './set-aside.ts'

/** The files by which the runtime finds its network. */

const isWhole = ({ configs }: CniPlace) => configs.filter(({ error }) => error === undefined)
const isOurs = ({ types }: { readonly types: readonly string[] }) => types.includes('bramble')

/** Where a runtime would use us: only these are looked at more closely. */
const used = (places: readonly CniPlace[]) => places.filter(({ configs }) => configs.some(isOurs))

export const CNI_CHECKS = [
  check({
    name: 'conflist-missing',
    symptom: 'the node stays NotReady: "cni plugin not initialized", "no networks found in /etc/cni/net.d"',
    needs: ['cni'],
    find: ({ cni }) =>
      used(cni.places).length > 0
        ? []
        : [
            {
              severity: 'error',
              what: `no network configuration in ${cni.places.map(({ confDir }) => confDir).join(' or ')} names bramble`,
              why: 'the container runtime does not use Bramble: pods get another network or none',
              advice:
                'the agent writes it when it can serve, where it has --cni-conf-dir; without Kubernetes copy deploy/10-bramble.conflist',
              remedies: [],
            },
          ],
  }),
  check({
    name: 'conflist-order',
    symptom: 'pods get addresses of another network, or "failed to find plugin" of one that is not installed',
    needs: ['cni'],
    find: ({ cni }) =>
      used(cni.places).flatMap((place) => {
        const [first] = isWhole(place)
        if (!first || leadsToUs(first.types)) return [] // Multus asks for us in its turn
        return [
          {
            severity: 'error' as const,
            what: `${place.confDir}/${first.file} (network ${first.name}: ${first.types.join(', ')}) comes before Bramble's`,
            why: 'a container runtime takes the first file by name, so new pods get that network',
            remedies: [setAside(place.confDir, first.file)],
          },
        ]
      }),
  }),
  check({
    name: 'conflist-broken',
    symptom: 'the node stays NotReady after a power cut',
    needs: ['cni'],
    find: ({ cni }) =>
      cni.places.flatMap(({ confDir, configs }) =>
        configs
          .filter(({ error }) => error !== undefined)
          .map(
            ({ file, error }): Finding => ({
              severity: 'warning',
              what: `${confDir}/${file} is no network configuration: ${error}`,
              why: 'runtimes pass over it, or refuse all networks because of it',
              advice: 'restart the agent, which writes its own anew; what is left of another network is removed',
              remedies: [setAside(confDir, file)],
            }),
          ),
      ),
  }),
  check({
    name: 'plugin-missing',
    symptom: 'pods fail with "failed to find plugin \\"bramble\\" in path"',
    needs: ['cni', 'agent'],
    find: ({ cni, agent: { runsAs } }) =>
      used(cni.places).flatMap(({ binDir, programs, pluginVersion }): Finding[] => {
        if (!programs.includes('bramble'))
          return [
            {
              severity: 'error',
              what: `there is no plugin ${binDir}/bramble that can be run`,
              why: 'the runtime cannot start any pod',
              advice: 'restart the agent, which puts it there where it has --cni-bin-dir',
              remedies: [
                command(
                  runsAs === 'pod'
                    ? RESTART_PODS
                    : `cp /opt/bramble/bin/bramble ${binDir}/.bramble.new && mv ${binDir}/.bramble.new ${binDir}/bramble`,
                ),
              ],
            },
          ]
        if (pluginVersion !== undefined) return []
        return [
          {
            severity: 'error',
            what: `${binDir}/bramble does not run`,
            why: 'the runtime cannot start any pod; a file that was cut short or is of another architecture does that',
            remedies: [command(`file ${binDir}/bramble`)],
          },
        ]
      }),
  }),
  check({
    name: 'hostports-unhandled',
    symptom: 'a pod with a hostPort runs, and nobody reaches it there: connection refused, and no error anywhere',
    needs: ['cni'],
    find: ({ cni }) =>
      used(cni.places).flatMap((place): Finding[] => {
        const [first] = isWhole(place)
        if (!first || !isOurs(first) || first.portMappers.length > 0) return []
        return [
          {
            severity: 'warning',
            what: `${place.confDir}/${first.file} gives no plugin the capability portMappings`,
            why: 'the runtime tells nobody of hostPorts, and leaves them out without a word; k3s opens the ports of LoadBalancers by them',
            advice: `give it to bramble in that file: "capabilities": { "portMappings": true }; pods that are made then have theirs. Where the agent has --cni-conf-dir, it writes a file that has it: take away the other one`,
            remedies: [],
          },
        ]
      }),
  }),
  check({
    name: 'chained-plugin-missing',
    symptom: 'pods fail with "failed to find plugin \\"portmap\\" in path"',
    needs: ['cni', 'machine'],
    find: ({ cni, machine: { osRelease } }) =>
      used(cni.places).flatMap((place) => {
        const [install, folder] = /^ID=["']?alpine/m.test(osRelease)
          ? ['apk add cni-plugins', '/usr/libexec/cni']
          : ['apt install containernetworking-plugins', '/usr/lib/cni']
        const [first] = isWhole(place)
        const absent =
          first && isOurs(first)
            ? first.types.filter((type) => type !== 'bramble' && !place.programs.includes(type))
            : []
        return absent.map((type) => ({
          severity: 'error' as const,
          what: `${place.confDir}/${first?.file} chains ${type}, which is not in ${place.binDir}`,
          why: 'no pod can start: every plugin of the chain has to be there',
          advice: `or take ${type} out of the file, and do without what it is for (of portmap: give bramble its capability "portMappings")`,
          remedies: [command(install), command(`cp ${folder}/${shellWord(type)} ${place.binDir}/`)],
        }))
      }),
  }),
  check({
    name: 'runtime-paths',
    symptom:
      'Bramble is installed, and the runtime says that no network is configured, or: failed to find plugin "bramble" in path [/usr/lib/cni]',
    needs: ['cni'],
    doubt: ({ cni: { runtime, unseenRuntime } }) => (runtime ? undefined : unseenRuntime),
    find: ({ cni: { places, runtime } }) => {
      const [place] = used(places)
      if (!place || !runtime) return []
      const wrong = [
        ...(runtime.confDir && !used(places).some(({ confDir }) => confDir === runtime.confDir)
          ? [`conf_dir = ${runtime.confDir}`]
          : []),
        ...(runtime.binDir && !used(places).some(({ binDir }) => binDir === runtime.binDir)
          ? [`bin_dir = ${runtime.binDir}`]
          : []),
      ]
      if (wrong.length === 0) return []
      return [
        {
          severity: 'error',
          what: `${runtime.file} says ${wrong.join(' and ')}; Bramble is in ${place.confDir} and ${place.binDir}`,
          why: `${basename(runtime.file)} decides where containerd looks, and it does not look at Bramble's files`,
          advice:
            'tell the agent (--cni-conf-dir, --cni-bin-dir; in Kubernetes the hostPaths of the DaemonSet too), or the runtime',
          remedies: [],
        },
      ]
    },
  }),
]
