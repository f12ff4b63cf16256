import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Places } from '../../../agent/doctor/places.ts'

const base = mkdtempSync(join(tmpdir(), 'bramble-places-'))
t.teardown(() => rmSync(base, { recursive: true }))
for (const [path, content] of [
  ['mounted/etc/cni/net.d/b.conf', 'of the node'],
  ['own/etc/cni/net.d/a.conf', 'of the image'],
  ['own/etc/os-release', 'ID=debian'],
] as const) {
  mkdirSync(join(base, path, '..'), { recursive: true })
  writeFileSync(join(base, path), content)
}
const places = new Places([join(base, 'mounted'), join(base, 'own')])

t.test('what is mounted goes before what is in the container; the rest is found there', async (t) => {
  t.same(places.list('/etc/cni/net.d'), ['b.conf'])
  t.equal(places.read('/etc/cni/net.d/b.conf'), 'of the node')
  t.equal(places.read('/etc/os-release'), 'ID=debian')
})

t.test('what is nowhere is absent, and no error', async (t) => {
  t.equal(places.read('/etc/nothing'), undefined)
  t.equal(places.read('/etc'), undefined, 'a folder has no text')
  t.same(places.list('/etc/nothing'), [])
  t.equal(places.has('/etc/nothing'), false)
})

t.test('where nothing is mounted from a node, this is the node', async (t) => {
  t.doesNotThrow(() => places.needNode())
})

t.test("the agent's pod has some of the node's files, one of kubectl debug has all", async (t) => {
  const mounted = join(base, 'mounted')
  const pod = new Places([mounted, join(base, 'own')], mounted)
  t.throws(() => pod.needNode(), { message: /kubectl debug/ })
  mkdirSync(join(mounted, 'usr'))
  t.doesNotThrow(() => pod.needNode())
})
