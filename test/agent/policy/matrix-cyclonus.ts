import {
  labelled,
  labelledAny,
  type MatrixCase,
  type MatrixStep,
  namespace,
  pod,
  podKey,
  policy,
  type Reach,
} from './matrix.ts'
import type { RawNetworkPolicy, RawPeer, RawPort, RawSelector } from './oracle-objects.ts'

/**
 * The cases of Cyclonus (pkg/generator), which varies one policy in every way: of x/a, in from b and c of x and y, out to a
 * and b of y and z, TCP port 80. Some expectations are by hand, the rest is the oracle's.
 */

const A = labelled('pod', 'a')
const C = labelled('pod', 'c')
const PODS_BC = labelledAny('pod', 'In', 'b', 'c')
const PODS_AB = labelledAny('pod', 'In', 'a', 'b')
const NS_X = labelled('ns', 'x')
const NS_XY = labelledAny('ns', 'In', 'x', 'y')
const NS_YZ = labelledAny('ns', 'In', 'y', 'z')

type Direction = 'ingress' | 'egress'
type Rules = { readonly peers?: readonly RawPeer[]; readonly ports?: readonly RawPort[] }[]

interface Variation {
  readonly namespace?: string
  readonly podSelector?: RawSelector
  readonly ingress?: Rules
  readonly egress?: Rules
}

const DNS = {
  ports: [
    { protocol: 'UDP', port: 53 },
    { protocol: 'TCP', port: 53 },
  ],
}
const PORT_80 = [{ port: 80, protocol: 'TCP' }]
const INGRESS: Rules = [{ ports: PORT_80, peers: [{ podSelector: PODS_BC, namespaceSelector: NS_XY }] }]
const EGRESS: Rules = [{ ports: PORT_80, peers: [{ podSelector: PODS_AB, namespaceSelector: NS_YZ }] }, DNS]

function base({
  namespace = 'x',
  podSelector = A,
  ingress = INGRESS,
  egress = EGRESS,
}: Variation = {}): RawNetworkPolicy {
  return policy(namespace, 'base', podSelector, {
    ingress: ingress.map(({ peers, ports }) => ({ ...(peers && { from: peers }), ...(ports && { ports }) })),
    egress: egress.map(({ peers, ports }) => ({ ...(peers && { to: peers }), ...(ports && { ports }) })),
  })
}

/** What the policy makes of x/a where one direction is as it is in the base. */
const BASE_IN = ['- * > x/a', '+ x/b > x/a', '+ x/c > x/a', '+ y/b > x/a', '+ y/c > x/a']
const BASE_OUT = ['- x/a > *', '+ x/a > y/a', '+ x/a > y/b', '+ x/a > z/a', '+ x/a > z/b']
const CLOSED = ['- * > x/a', '- x/a > *']
const DIRECTIONS: Direction[] = ['ingress', 'egress']

/** @param addressOf of the pods that there are at the beginning, of the family that is probed */
export function cyclonusCases(addressOf: (pod: string) => string): MatrixCase[] {
  return [
    ...targetCases(),
    ...ruleCases(),
    ...peerCases(addressOf),
    ...portCases(),
    ...actionCases(),
    ...conflictCases(addressOf('x/a').includes(':')),
  ]
}

const single = (name: string, put: readonly RawNetworkPolicy[], expected?: MatrixStep['expected']): MatrixCase => ({
  name,
  steps: [{ put, ...(expected && { expected }) }],
})

/** On TCP port 80; all else is closed to and from x/a. */
const on80 = (...reach: string[]): Record<string, Reach> => ({ '80/TCP': reach, '*': CLOSED })

function targetCases(): MatrixCase[] {
  return [
    ...['x', 'y', 'z'].map((name) => single(`set namespace to ${name}`, [base({ namespace: name })])),
    ...[{}, A, PODS_AB].map((podSelector) =>
      single(`set pod selector to ${JSON.stringify(podSelector)}`, [base({ podSelector })]),
    ),
    single('as it is', [base()], on80(...BASE_IN, ...BASE_OUT)),
  ]
}

function ruleCases(): MatrixCase[] {
  return [
    single('ingress: deny all', [base({ ingress: [] })], on80('- * > x/a', ...BASE_OUT)),
    single('ingress: allow all', [base({ ingress: [{}] })], { '80/TCP': BASE_OUT, '*': ['- x/a > *'] }),
    single('egress: deny all', [base({ egress: [] })], on80(...BASE_IN, '- x/a > *')),
    single('egress: allow all', [base({ egress: [{}] })], { '80/TCP': BASE_IN, '*': ['- * > x/a'] }),
  ]
}

interface NamedPeer {
  readonly what: string
  readonly peer: RawPeer
  /** Whom it means, by hand. */
  readonly means: readonly string[]
}

function peers(addressOf: (pod: string) => string): NamedPeer[] {
  const isIpv6 = addressOf('z/c').includes(':')
  const cidr = (bits4: number, bits6: number) => `${addressOf('z/c')}/${isIpv6 ? bits6 : bits4}`
  const cs = ['x/c', 'y/c', 'z/c']
  return [
    { what: 'empty pods + nil ns', peer: { podSelector: {} }, means: ['x/*'] },
    { what: 'pods by label + nil ns', peer: { podSelector: C }, means: ['x/c'] },
    { what: 'nil pods + empty ns', peer: { namespaceSelector: {} }, means: ['*'] },
    { what: 'empty pods + empty ns', peer: { podSelector: {}, namespaceSelector: {} }, means: ['*'] },
    { what: 'pods by label + empty ns', peer: { podSelector: C, namespaceSelector: {} }, means: cs },
    { what: 'nil pods + ns by label', peer: { namespaceSelector: NS_X }, means: ['x/*'] },
    { what: 'empty pods + ns by label', peer: { podSelector: {}, namespaceSelector: NS_X }, means: ['x/*'] },
    { what: 'pods by label + ns by label', peer: { podSelector: C, namespaceSelector: NS_X }, means: ['x/c'] },
    { what: 'simple ipblock', peer: { ipBlock: { cidr: cidr(8, 16) } }, means: ['*'] },
    {
      what: 'ipblock with except',
      peer: { ipBlock: { cidr: cidr(8, 16), except: [cidr(32, 128)] } },
      means: PODS_BUT_ZC,
    },
  ]
}

const PODS_BUT_ZC = ['x/*', 'y/*', 'z/a', 'z/b']

function peerCases(addressOf: (pod: string) => string): MatrixCase[] {
  const all = peers(addressOf)
  const pairs = all.flatMap((one, index) => all.slice(index + 1).map((other) => [one, other]))
  return DIRECTIONS.flatMap((direction) =>
    [[], ...all.map((one) => [one]), ...pairs].map((some) => {
      const varied = [{ ports: PORT_80, peers: some.map(({ peer }) => peer) }]
      const means = some.length === 0 ? ['*'] : some.flatMap(({ means }) => means)
      return direction === 'ingress'
        ? single(
            `ingress from ${describe(some)}`,
            [base({ ingress: varied })],
            on80('- * > x/a', ...means.map((from) => `+ ${from} > x/a`), ...BASE_OUT),
          )
        : single(
            `egress to ${describe(some)}`,
            [base({ egress: varied })],
            on80(...BASE_IN, '- x/a > *', ...means.map((to) => `+ x/a > ${to}`)),
          )
    }),
  )
}

const describe = (some: readonly NamedPeer[]) => some.map(({ what }) => what).join(', ') || 'empty peers'

function portCases(): MatrixCase[] {
  const protocols = [undefined, 'TCP', 'UDP', 'SCTP']
  const numbered = protocols.flatMap((protocol) =>
    [undefined, 80, 81].map((port) => ({ ...(protocol && { protocol }), ...(port && { port }) })),
  )
  const named = ['TCP', 'UDP', 'SCTP'].flatMap((protocol) =>
    [80, 81].map((number) => ({ protocol, port: `serve-${number}-${protocol.toLowerCase()}` })),
  )
  const ranges = ['TCP', 'UDP', 'SCTP'].flatMap((protocol) =>
    [80, 84].map((endPort) => ({ protocol, port: 53, endPort })),
  )
  const pathological = [
    { protocol: 'TCP', port: 'serve-81-udp' },
    { protocol: 'TCP', port: 'serve-7981-udp' },
    { protocol: 'TCP', port: 7981 },
  ]
  const pairs = [
    [{}, { port: 80 }],
    [{}, { port: 'serve-80-tcp' }],
    [{}, { protocol: 'UDP' }],
    [{ port: 80 }, { port: 81 }],
    [{ port: 80 }, { port: 'serve-81-tcp' }],
    [{ port: 80 }, { protocol: 'UDP', port: 'serve-81-udp' }],
    [
      { protocol: 'UDP', port: 80 },
      { protocol: 'UDP', port: 'serve-81-udp' },
    ],
  ]
  const all: RawPort[][] = [[], ...[...numbered, ...named, ...ranges, ...pathological].map((port) => [port]), ...pairs]
  return DIRECTIONS.flatMap((direction) =>
    all.map((ports) => {
      const [first = {}] = direction === 'ingress' ? INGRESS : EGRESS
      return single(`${direction} on ${JSON.stringify(ports)}`, [base({ [direction]: [{ ...first, ports }] })])
    }),
  )
}

function actionCases(): MatrixCase[] {
  const created = { put: [base()], expected: on80(...BASE_IN, ...BASE_OUT) }
  const from = (peer: RawPeer) => base({ ingress: [{ ports: PORT_80, peers: [peer] }] })
  const onX81 = policy('x', 'named', {}, { ingress: [{ ports: [{ port: 'serve-81-tcp' }] }] })
  return [
    { name: 'create/delete policy', steps: [created, { remove: ['NetworkPolicy x/base'], expected: { '*': [] } }] },
    {
      name: 'create/update policy',
      steps: [
        created,
        { put: [base({ ingress: [{ ...INGRESS[0], ports: [{ protocol: 'UDP', port: 'serve-81-udp' }] }] })] },
      ],
    },
    {
      name: 'create/delete namespace',
      steps: [
        created,
        { put: [namespace('y-2', { ns: 'y' }), pod('y-2/a'), pod('y-2/b')] },
        { remove: [podKey('y-2/a'), podKey('y-2/b'), 'Namespace /y-2'], expected: created.expected },
      ],
    },
    {
      name: 'update namespace so that policy applies, then again so it no longer applies',
      steps: [
        {
          put: [from({ namespaceSelector: labelled('new-ns', 'qrs') })],
          expected: on80('- * > x/a', ...BASE_OUT),
        },
        { put: [namespace('y', { 'new-ns': 'qrs' })], expected: on80('- * > x/a', '+ y/* > x/a', ...BASE_OUT) },
        { put: [namespace('y')], expected: on80('- * > x/a', ...BASE_OUT) },
      ],
    },
    {
      name: 'create/delete pod',
      steps: [created, { put: [pod('x/d')] }, { remove: [podKey('x/d')], expected: created.expected }],
    },
    {
      name: 'update pod so that policy applies, then again so it no longer applies',
      steps: [
        {
          put: [from({ podSelector: labelled('new-label', 'abc'), namespaceSelector: NS_YZ })],
          expected: on80('- * > x/a', ...BASE_OUT),
        },
        { put: [pod('y/b', { 'new-label': 'abc' })], expected: on80('- * > x/a', '+ y/b > x/a', ...BASE_OUT) },
        { put: [pod('y/b')], expected: on80('- * > x/a', ...BASE_OUT) },
      ],
    },
    {
      name: 'a pod that is made again, with other labels, and once more as it was',
      steps: [
        created,
        { remove: [podKey('x/b')] },
        { put: [pod('x/b', { pod: 'other' }, 'uid-x/b-2')], expected: on80(...BASE_IN, '- x/b > x/a', ...BASE_OUT) },
        { remove: [podKey('x/b')] },
        { put: [pod('x/b', {}, 'uid-x/b-3')], expected: created.expected },
      ],
    },
    {
      name: 'the pod that a policy is for is made again',
      steps: [created, { remove: [podKey('x/a')] }, { put: [pod('x/a', {}, 'uid-x/a-2')], expected: created.expected }],
    },
    {
      name: 'ingress access on one named port, a namespace comes and goes',
      steps: [
        { put: [onX81], expected: { '81/TCP': [], '*': ['- * > x/*'] } },
        { put: [namespace('w'), pod('w/a')], expected: { '81/TCP': [], '*': ['- * > x/*'] } },
        { remove: [podKey('w/a')] },
        { remove: ['Namespace /w'], expected: { '81/TCP': [], '*': ['- * > x/*'] } },
      ],
    },
    ...DIRECTIONS.map((direction) =>
      single(`${direction}: select namespace by default label`, [
        base({
          [direction]: [
            { ports: PORT_80, peers: [{ namespaceSelector: labelled('kubernetes.io/metadata.name', 'z') }] },
          ],
        }),
      ]),
    ),
  ]
}

/** What is allowed by one policy and denied by another one; the source is x/b, the destination y/c, as there. */
function conflictCases(isIpv6: boolean): MatrixCase[] {
  const [everywhere, nowhere] = isIpv6 ? ['::/0', '::/127'] : ['0.0.0.0/0', '0.0.0.0/31']
  const WAYS: Readonly<Record<string, readonly { readonly peers?: readonly RawPeer[] }[]>> = {
    'deny all': [],
    'allow all': [{}],
    'allow all by pod': [{ peers: [{ namespaceSelector: {} }] }],
    'allow all by IP': [{ peers: [{ ipBlock: { cidr: everywhere } }] }],
    'deny all by IP': [{ peers: [{ ipBlock: { cidr: nowhere } }] }],
    'deny all by pod': [{ peers: [{ namespaceSelector: labelled('this-will-never-happen', 'qrs123') }] }],
  }
  const source = (way: string) =>
    policy('x', `out-${way.replaceAll(' ', '-').toLowerCase()}`, labelled('pod', 'b'), {
      egress: (WAYS[way] ?? []).map(({ peers }) => (peers ? { to: peers } : {})),
    })
  const destination = (way: string) =>
    policy('y', `in-${way.replaceAll(' ', '-').toLowerCase()}`, C, {
      ingress: (WAYS[way] ?? []).map(({ peers }) => (peers ? { from: peers } : {})),
    })
  const [out, into] = [{ '*': ['- x/b > *'] }, { '*': ['- * > y/c'] }]
  const open = { '*': [] }
  const pairs = [
    ['deny all', 'allow all'],
    ['deny all', 'allow all by pod'],
    ['deny all', 'allow all by IP'],
    ['deny all by IP', 'allow all by pod'],
    ['deny all by pod', 'allow all by IP'],
  ] as const
  return [
    single('deny all from source, allow all to dest', [source('deny all'), destination('allow all')], out),
    single('allow all from source, deny all to dest', [source('allow all'), destination('deny all')], into),
    ...pairs.flatMap(([deny, allow]) => [
      single(`${deny} + ${allow} from same source`, [source(deny), source(allow)], open),
      single(`${deny} + ${allow} to same dest`, [destination(deny), destination(allow)], open),
    ]),
    ...['deny all by IP', 'deny all by pod'].flatMap((deny) => [
      single(`egress: ${deny}`, [source(deny)], out),
      single(`ingress: ${deny}`, [destination(deny)], into),
    ]),
  ]
}
