import { readFileSync } from 'node:fs'
import { apply, get, kubectl, until } from './kubectl.ts'

export const NAMESPACE = 'bramble-trial'
export const PORT = 8080
/** Of pods in the network of their node. */
const HOST_PORT = 18_080

const manifest = readFileSync(new URL('../../deploy/bramble.yaml', import.meta.url), 'utf8')
/** Bramble's own image has all that the pods need: there is nothing else to fetch. */
export const IMAGE = process.env.POD_IMAGE ?? manifest.match(/image: (\S+)/)?.[1] ?? ''
const NODE = process.env.POD_NODE ?? '/opt/bramble/lib/node'
/** Every kubelet has it. */
const PLAIN_IMAGE = process.env.PLAIN_IMAGE ?? 'registry.k8s.io/pause:3.10'
const PLAIN_SPEC = {
  containers: [{ name: 'pause', image: PLAIN_IMAGE, imagePullPolicy: 'IfNotPresent' }],
  terminationGracePeriodSeconds: 0,
}
const PROGRAM = '/pod/pod-program.mjs'

/** As much of a running pod as is looked at. */
export interface TrialPod {
  readonly name: string
  readonly node: string
  readonly nodeAddress: string
  readonly addresses: readonly string[]
}

/** The namespace, with the program of its pods. */
export async function makeNamespace(): Promise<void> {
  const text = readFileSync(new URL('pod-program.mjs', import.meta.url), 'utf8')
  await apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'program', namespace: NAMESPACE },
      data: { 'pod-program.mjs': text },
    },
  )
}

/** Pods called `app`, spread over the nodes; with a Service of the same name. */
export function deployment(app: string, replicas: number): object[] {
  const spread = {
    maxSkew: 1,
    topologyKey: 'kubernetes.io/hostname',
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: { app } },
  }
  const spec = { ...podSpec(PORT), topologySpreadConstraints: [spread] }
  return [
    named('apps/v1', 'Deployment', app, {
      replicas,
      ...selecting(app),
      template: { metadata: { labels: { app } }, spec },
    }),
    named('v1', 'Service', app, { selector: { app }, ports: [{ port: 80, targetPort: PORT }] }),
  ]
}

/** A pod on each node, in the node's own network. */
export function hostPods(app: string): object {
  const spec = { ...podSpec(HOST_PORT), hostNetwork: true, tolerations: [{ operator: 'Exists' }] }
  return named('apps/v1', 'DaemonSet', app, { ...selecting(app), template: { metadata: { labels: { app } }, spec } })
}

/** A pod that is Ready as soon as it runs, and does nothing. */
export function plainPod(name: string): object {
  return named('v1', 'Pod', name, PLAIN_SPEC)
}

/** So many of them. */
export function idlePods(app: string, replicas: number): object {
  const template = { metadata: { labels: { app } }, spec: PLAIN_SPEC }
  return named('apps/v1', 'Deployment', app, { replicas, ...selecting(app), template })
}

/** @returns the pods, as soon as so many of them are ready */
export async function ready(app: string, count: number, mostS?: number): Promise<TrialPod[]> {
  let pods: TrialPod[] = []
  await until(`${count} pods ${app} are ready`, async () => (pods = await readyPods(app)).length === count, mostS)
  return pods
}

async function readyPods(app: string): Promise<TrialPod[]> {
  const { items } = await get('pods', '-n', NAMESPACE, '-l', `app=${app}`)
  return items
    .filter(({ metadata, status }: KubernetesPod) => !metadata.deletionTimestamp && isReady(status))
    .map(({ metadata, spec, status }: KubernetesPod) => ({
      name: metadata.name,
      node: spec.nodeName,
      nodeAddress: status.hostIP,
      addresses: status.podIPs.map(({ ip }) => ip),
    }))
}

/** What the program in a pod says. */
export async function ask<T>({ name }: TrialPod, path: string): Promise<T> {
  return JSON.parse(await kubectl(['exec', '-n', NAMESPACE, name, '--', NODE, PROGRAM, 'ask', path]))
}

/** What one fetch gave. */
export interface Fetched {
  readonly url: string
  readonly pod?: string
  readonly node?: string
  readonly failed?: string
}

export function fetchFrom(pod: TrialPod, urls: readonly string[]): Promise<Fetched[]> {
  return ask(pod, `/fetch?urls=${encodeURIComponent(urls.join(','))}`)
}

export function urlOf({ addresses }: Pick<TrialPod, 'addresses'>, port = PORT): string[] {
  return addresses.map((address) => `http://${address.includes(':') ? `[${address}]` : address}:${port}/`)
}

export function hostUrlOf({ nodeAddress }: TrialPod): string[] {
  return urlOf({ addresses: [nodeAddress] }, HOST_PORT)
}

function podSpec(port: number): object {
  const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })
  return {
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        name: 'program',
        image: IMAGE,
        imagePullPolicy: 'IfNotPresent',
        command: [NODE, PROGRAM],
        env: [{ name: 'PORT', value: String(port) }, field('POD', 'metadata.name'), field('NODE', 'spec.nodeName')],
        volumeMounts: [{ name: 'program', mountPath: '/pod' }],
        startupProbe: { httpGet: { path: '/', port }, periodSeconds: 1, failureThreshold: 120 },
      },
    ],
    volumes: [{ name: 'program', configMap: { name: 'program' } }],
  }
}

function selecting(app: string): object {
  return { selector: { matchLabels: { app } } }
}

function named(apiVersion: string, kind: string, name: string, spec: object): object {
  return { apiVersion, kind, metadata: { name, namespace: NAMESPACE }, spec }
}

interface KubernetesPod {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string }
  readonly spec: { readonly nodeName: string }
  readonly status: PodStatus
}

interface PodStatus {
  readonly hostIP: string
  readonly podIPs: readonly { readonly ip: string }[]
  readonly conditions?: readonly { readonly type: string; readonly status: string }[]
}

function isReady({ conditions }: PodStatus): boolean {
  return conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}
