import t from 'tap'
import { ObjectError } from '../../../agent/cluster/object-fields.ts'
import { formatPodObject, parsePodObject } from '../../../agent/cluster/pod-object.ts'

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web-0', namespace: 'shop', uid: 'a-b-c', labels: { app: 'web' }, managedFields: [{}] },
  spec: {
    nodeName: 'pi-1',
    containers: [
      { name: 'web', ports: [{ name: 'http', containerPort: 8080 }, { containerPort: 9 }] },
      { name: 'dns', ports: [{ name: 'dns', containerPort: 53, protocol: 'UDP' }] },
      { name: 'none' },
    ],
    initContainers: [
      { name: 'stays', restartPolicy: 'Always', ports: [{ name: 'mesh', containerPort: 15001 }] },
      { name: 'ends', ports: [{ name: 'setup', containerPort: 1 }] },
    ],
  },
  status: { phase: 'Running', podIP: '10.42.0.5', podIPs: [{ ip: '10.42.0.5' }, { ip: 'FD42:0::5' }] },
}

t.test('what policies look at is read, and no more', async (t) => {
  t.strictSame(parsePodObject(POD), {
    namespace: 'shop',
    name: 'web-0',
    uid: 'a-b-c',
    nodeName: 'pi-1',
    labels: { app: 'web' },
    addresses: ['10.42.0.5', 'fd42::5'],
    isHostNetwork: false,
    ports: [
      { name: 'http', protocol: 'TCP', number: 8080 },
      { name: 'dns', protocol: 'UDP', number: 53 },
      { name: 'mesh', protocol: 'TCP', number: 15001 },
    ],
  })
})

t.test('the image of a static pod has the uid that kubelet and the runtime know', async (t) => {
  const uidOf = (annotations: unknown) => parsePodObject({ ...POD, metadata: { ...POD.metadata, annotations } }).uid
  t.equal(uidOf({ 'kubernetes.io/config.mirror': 'd0c5', 'kubernetes.io/config.source': 'file' }), 'd0c5')
  for (const annotations of [null, {}, { 'kubernetes.io/config.mirror': '' }, { 'kubernetes.io/config.hash': 'd0c5' }])
    t.equal(uidOf(annotations), 'a-b-c')
  t.throws(() => uidOf({ 'kubernetes.io/config.mirror': 7 }), {
    message: 'metadata.annotations["kubernetes.io/config.mirror"] is 7; text is expected: put it in quotes',
  })
})

t.test('a pod that has ended has no addresses: they may be of another one by now', async (t) => {
  for (const phase of ['Succeeded', 'Failed'])
    t.same(parsePodObject({ ...POD, status: { ...POD.status, phase } }).addresses, [], phase)
  for (const phase of ['Pending', 'Running', 'Unknown', ''])
    t.equal(parsePodObject({ ...POD, status: { ...POD.status, phase } }).addresses.length, 2, phase)
})

t.test('status.podIP is read where there is no list; before it starts, a pod has neither', async (t) => {
  t.same(parsePodObject({ ...POD, status: { podIP: '10.42.0.9' } }).addresses, ['10.42.0.9'])
  t.same(parsePodObject({ ...POD, status: { podIP: '10.42.0.9', podIPs: [] } }).addresses, ['10.42.0.9'])
  for (const status of [undefined, null, {}, { podIP: '', podIPs: null }, { podIPs: [{ ip: '' }] }])
    t.same(parsePodObject({ ...POD, status }).addresses, [])
})

t.test('a manifest by hand may lack all but the name', async (t) => {
  t.strictSame(parsePodObject({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } }), {
    namespace: 'default',
    name: 'a',
    uid: '',
    nodeName: '',
    labels: {},
    addresses: [],
    isHostNetwork: false,
    ports: [],
  })
})

t.test('labels may have any names, and no value at all is an empty one', async (t) => {
  const labels = JSON.parse('{"__proto__": "x", "constructor": "y", "toString": null}')
  const { labels: read } = parsePodObject({ ...POD, metadata: { ...POD.metadata, labels } })
  t.same(Object.entries(read), [
    ['__proto__', 'x'],
    ['constructor', 'y'],
    ['toString', ''],
  ])
})

t.test('what cannot be used is refused by the name of its field', async (t) => {
  const withPort = (port: unknown) => ({ spec: { containers: [{}, { ports: [{ containerPort: 1 }, port] }] } })
  for (const [change, message] of [
    [{ kind: 'Node' }, 'apiVersion "v1", kind "Node": expected v1, Pod'],
    [{ metadata: undefined }, 'metadata is missing; a mapping is expected'],
    [{ metadata: { name: 'a/b' } }, 'metadata.name is "a/b"; small letters, digits, "-" and "." are expected'],
    [{ metadata: { name: 'a', namespace: 'x y' } }, /^metadata\.namespace is "x y"; small letters/],
    [{ metadata: { name: 'a', labels: ['x'] } }, 'metadata.labels is ["x"]; a mapping is expected'],
    [{ metadata: { name: 'a', labels: { v: 2 } } }, 'metadata.labels["v"] is 2; text is expected: put it in quotes'],
    [{ spec: { hostNetwork: 'true' } }, 'spec.hostNetwork is "true"; true or false is expected'],
    [{ spec: { containers: {} } }, 'spec.containers is {}; a list is expected'],
    [{ spec: { initContainers: [null] } }, 'spec.initContainers[0] is null; a mapping is expected'],
    [
      withPort({ name: 'x', containerPort: 0 }),
      'spec.containers[1].ports[1].containerPort is 0; a number from 1 to 65535 is expected',
    ],
    [
      withPort({ name: 'x', containerPort: 1, protocol: 'ICMP' }),
      'spec.containers[1].ports[1].protocol is "ICMP"; TCP, UDP, SCTP are expected',
    ],
    [{ status: { podIPs: ['10.42.0.5'] } }, 'status.podIPs[0] is "10.42.0.5"; a mapping is expected'],
    [
      { status: { podIPs: [{ ip: '10.42.0.5' }, { ip: '10.42.0.256' }] } },
      /^status\.podIPs\[1\]\.ip: .*"10\.42\.0\.256" is no IPv4 address/,
    ],
  ] as const)
    t.throws(() => parsePodObject({ ...POD, ...change }), { code: 'OBJECT', message })
  for (const noise of [null, undefined, 'Pod', 7, [], {}]) t.throws(() => parsePodObject(noise), ObjectError)
})

t.test('what is written is read again as the same pod', async (t) => {
  for (const change of [{}, { spec: { hostNetwork: true } }, { status: {} }, { metadata: { name: 'a' } }]) {
    const pod = parsePodObject({ ...POD, ...change })
    t.strictSame(parsePodObject(JSON.parse(JSON.stringify(formatPodObject(pod)))), pod)
  }
})
