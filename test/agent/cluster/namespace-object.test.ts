import t from 'tap'
import { formatNamespaceObject, parseNamespaceObject } from '../../../agent/cluster/namespace-object.ts'

const NAMESPACE = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { team: 'a' } } }

t.test('a namespace has its labels, and its name among them, whatever it says of that', async (t) => {
  const labels = { team: 'a', 'kubernetes.io/metadata.name': 'shop' }
  t.strictSame(parseNamespaceObject(NAMESPACE), { name: 'shop', labels })
  const lying = { name: 'shop', labels: { team: 'a', 'kubernetes.io/metadata.name': 'kube-system' } }
  t.strictSame(parseNamespaceObject({ ...NAMESPACE, metadata: lying }).labels, labels)
  t.strictSame(parseNamespaceObject({ ...NAMESPACE, metadata: { name: 'x' } }).labels, {
    'kubernetes.io/metadata.name': 'x',
  })
})

t.test('what cannot be used is refused by the name of its field', async (t) => {
  for (const [metadata, message] of [
    [{ name: 'Shop' }, /^metadata\.name is "Shop"; small letters/],
    [{ name: 'shop', labels: { team: {} } }, /^metadata\.labels\["team"\] is \{\}; text is expected/],
    [null, 'metadata is null; a mapping is expected'],
  ] as const)
    t.throws(() => parseNamespaceObject({ ...NAMESPACE, metadata }), { code: 'OBJECT', message })
  t.throws(() => parseNamespaceObject({ ...NAMESPACE, kind: 'Pod' }), { code: 'OBJECT' })
})

t.test('what is written is read again as the same namespace', async (t) => {
  const namespace = parseNamespaceObject(NAMESPACE)
  t.strictSame(parseNamespaceObject(JSON.parse(JSON.stringify(formatNamespaceObject(namespace)))), namespace)
})
