import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ApiDouble } from '../agent/cluster/kubernetes/api-double.ts'
import { keyOf, type StoredObject } from '../agent/cluster/kubernetes/api-objects.ts'
import { until } from './agent.ts'
import { inside } from './cluster.ts'
import { PLUGIN } from './plugin.ts'
import { capture, makeNetns, run } from './scratch.ts'

/** The project, where users of pods may read it: its own place may be in somebody's home. */
const IMAGE = '/run/image'
const PROJECT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
const inImage = (path: string) => (path.startsWith(PROJECT) ? `${IMAGE}${path.slice(PROJECT.length)}` : path)
const IMAGE_PROGRAM = '/opt/bramble/bin/bramblectl'
const PODS = '/api/v1/pods'

interface PodSpec {
  readonly nodeName: string
  readonly hostNetwork?: boolean
  readonly securityContext: {
    readonly runAsUser: number
    readonly runAsGroup: number
    readonly sysctls?: readonly { readonly name: string; readonly value: string }[]
  }
  readonly containers: readonly {
    readonly command: readonly string[]
    readonly env?: readonly { readonly name: string; readonly value: string }[]
    readonly readinessProbe?: { readonly tcpSocket: { readonly port: number } }
  }[]
}

interface Running {
  readonly netns?: string
  readonly node: string
  readonly child?: ChildProcess
}

/**
 * What kubelet and runtime do with pods, as far as their network goes: a namespace, wired by the real plugin on the pod's
 * node, the container's command as a process in it, its status and its log in the API. And what the controller of
 * namespaces does: one that is deleted takes its pods with it.
 */
export class SmallKubelet {
  readonly #api: ApiDouble
  readonly #running = new Map<string, Running>()
  /** The last of each pod. */
  readonly #work = new Map<string, Promise<void>>()
  readonly #unlisten: () => void
  #count = 0
  /** Nodes on which no pod starts, and why. */
  readonly failing = new Map<string, string>()
  /** Told when a pod runs. */
  onRunning: (pod: string, addresses: readonly string[]) => Promise<void> = async () => {}

  constructor(api: ApiDouble) {
    this.#api = api
    mkdirSync(IMAGE)
    execFileSync('mount', ['--bind', PROJECT, IMAGE])
    this.#unlisten = api.objects.listen(({ type, resource, object }) => {
      const { name } = object.metadata
      if (resource === PODS && type === 'ADDED') this.#do(keyOf(object), () => this.#start(object))
      if (resource === PODS && type === 'DELETED') this.#do(keyOf(object), () => this.#end(keyOf(object)))
      if (resource === '/api/v1/namespaces' && type === 'DELETED')
        for (const resource of [PODS, '/apis/networking.k8s.io/v1/networkpolicies'])
          for (const one of api.objects.list(resource, name)) api.objects.delete(resource, keyOf(one))
    })
  }

  /** Pods that run or end. */
  get count(): number {
    return this.#running.size
  }

  async close(): Promise<void> {
    this.#unlisten()
    for (const key of this.#running.keys()) this.#do(key, () => this.#end(key))
    await Promise.all(this.#work.values())
  }

  /** One after the other: a pod that is deleted while it starts is ended when it has. */
  #do(key: string, work: () => Promise<void>): void {
    const before = this.#work.get(key) ?? Promise.resolve()
    this.#work.set(key, before.then(work))
  }

  async #start(pod: StoredObject): Promise<void> {
    const { namespace = '', name, uid } = pod.metadata
    const key = `${namespace}/${name}`
    const { nodeName: node, hostNetwork, securityContext, containers } = pod.spec as PodSpec
    const [container] = containers
    const why = this.failing.get(node)
    if (why !== undefined) return this.#fail(namespace, name, why)
    const netns = `${name}-${++this.#count}`
    const addresses: string[] = []
    if (!hostNetwork) {
      this.#running.set(key, { netns, node })
      await makeNetns(netns)
      const { exitCode, stdout } = await this.#call(
        'ADD',
        node,
        netns,
        `${namespace};K8S_POD_NAME=${name};K8S_POD_UID=${uid}`,
      )
      if (exitCode !== 0) return this.#fail(namespace, name, stdout)
      const { ips } = JSON.parse(stdout) as { ips: { address: string }[] }
      addresses.push(...ips.map(({ address }) => address.replace(/\/\d+$/, '')))
    }
    for (const { name, value } of securityContext.sysctls ?? [])
      await run('ip', 'netns', 'exec', netns, 'sysctl', '-qw', `${name}=${value}`)
    const child = this.#run(key, hostNetwork ? node : netns, securityContext, container)
    this.#running.set(key, { ...(!hostNetwork && { netns }), node, child })
    this.#tell(key, { phase: 'Running', podIPs: addresses.map((ip) => ({ ip })) })
    await this.onRunning(name, addresses)
    const port = container?.readinessProbe?.tcpSocket.port
    if (port === undefined) return
    await until(`${name} is ready`, async () => !this.#isThere(key) || (await this.#answers(node, addresses[0], port)))
    this.#tell(key, {
      phase: 'Running',
      podIPs: addresses.map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: 'True' }],
    })
  }

  /** As the user that the pod asks for, without a capability. */
  #run(
    key: string,
    netns: string,
    { runAsUser, runAsGroup }: PodSpec['securityContext'],
    container: PodSpec['containers'][number] | undefined,
  ): ChildProcess {
    const [program, ...args] = container?.command ?? []
    if (program !== IMAGE_PROGRAM) throw new Error(`${program} is not in the image`)
    const env = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]))
    const user = [`--reuid=${runAsUser}`, `--regid=${runAsGroup}`, '--clear-groups', '--no-new-privs']
    const rights = [...user, '--inh-caps=-all', '--bounding-set=-all', '--pdeathsig=KILL']
    const command = ['setpriv', ...rights, inImage(process.execPath), `${IMAGE}/bin/bramblectl.ts`, ...args]
    // Not nsenter: the pod is to see its own links in /sys.
    const child = spawn('ip', ['netns', 'exec', netns, ...command], {
      env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: '/run/compile-cache', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#api.logs.set(key, '')
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#api.logs.set(key, this.#api.logs.get(key) + text)
    })
    child.on('close', (code) => this.#tell(key, { phase: code === 0 ? 'Succeeded' : 'Failed' }))
    return child
  }

  /** From the node, as kubelet's probes are. */
  async #answers(node: string, address = '', port: number): Promise<boolean> {
    const { exitCode } = await inside(node, 'timeout', '2', 'bash', '-c', `exec 3<>/dev/tcp/${address}/${port}`)
    return exitCode === 0
  }

  #fail(namespace: string, name: string, message: string): void {
    this.#tell(`${namespace}/${name}`, { phase: 'Pending' })
    this.#api.objects.put('/api/v1/events', {
      metadata: { namespace, name: `${name}.1` },
      type: 'Warning',
      reason: 'FailedCreatePodSandBox',
      message,
      involvedObject: { kind: 'Pod', namespace, name },
    })
  }

  #isThere(key: string): boolean {
    return this.#api.objects.get(PODS, key) !== undefined
  }

  #tell(key: string, status: object): void {
    const pod = this.#api.objects.get(PODS, key)
    if (pod) this.#api.objects.put(PODS, { ...pod, status })
  }

  async #end(key: string): Promise<void> {
    const running = this.#running.get(key)
    if (!running) return
    running.child?.kill('SIGKILL')
    if (running.netns) {
      await this.#call('DEL', running.node, running.netns, '')
      await capture('ip', ['netns', 'delete', running.netns])
    }
    this.#running.delete(key)
  }

  #call(command: 'ADD' | 'DEL', node: string, netns: string, args: string) {
    return inside(
      node,
      ...[
        'env',
        `BRAMBLE_SOCKET=/run/bramble-${node}/agent.sock`,
        `CNI_COMMAND=${command}`,
        `CNI_CONTAINERID=${netns}`,
      ],
      ...[`CNI_NETNS=/run/netns/${netns}`, 'CNI_IFNAME=eth0', `CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=${args}`],
      PLUGIN,
    )
  }
}

/** What kube-proxy does for one address of a Service: to the first of its pods. */
export async function forwardService(node: string, address: string, pod: string, port: number): Promise<void> {
  const family = address.includes(':') ? 'ip6' : 'ip'
  const target = family === 'ip6' ? `[${pod}]` : pod
  const rules = [
    `add table ${family} services`,
    `add chain ${family} services to { type nat hook prerouting priority dstnat ; }`,
    `add rule ${family} services to ${family} daddr ${address} tcp dport ${port} dnat to ${target}:${port}`,
  ]
  await run('ip', 'netns', 'exec', node, 'nft', rules.join('\n'))
}
