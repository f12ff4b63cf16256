import { mkdirSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Agent } from './agent.ts'
import { addUplink, ip, linkNames, runIn } from './node.ts'
import { call } from './plugin.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'

/** What ADD is told about where the container is: everything that is no namespace for it is refused, untouched. */
await enterScratchNode()
await addUplink()
const agent = await Agent.start()
t.after(() => agent.stop())

t.test("the node's own namespace is refused with code 8", async (t) => {
  const before = await linkNames()
  await run('ip', 'netns', 'attach', 'node', String(process.pid)) // under a name, too
  for (const netns of ['/proc/self/ns/net', `/proc/${agent.child.pid}/ns/net`, '/run/netns/node'])
    t.match(await call('ADD', { containerId: 'host', netns }), {
      exitCode: 1,
      json: { code: 8, msg: `CNI_NETNS ${netns} is the node's own network namespace` },
    })
  t.strictSame(await linkNames(), before)
})

for (const allowed of ['1', 'TRUE', 'true'])
  t.test(`CNI_NETNS_OVERRIDE=${allowed} allows it`, async (t) => {
    const containerId = `override-${allowed}`
    const pod = { containerId, netns: '/proc/self/ns/net', ifname: 'pod0', env: { CNI_NETNS_OVERRIDE: allowed } }
    const { exitCode, json } = await call('ADD', pod)
    t.equal(exitCode, 0, JSON.stringify(json))
    t.ok((await linkNames()).includes('pod0'))
    t.match(await call('CHECK', { ...pod, config: { prevResult: json } }), { exitCode: 0 })
    t.match(await call('DEL', pod), { exitCode: 0 })
    t.match(await call('ADD', { ...pod, env: { CNI_NETNS_OVERRIDE: '0' } }), { json: { code: 8 } })
    while ((await linkNames()).includes('pod0')) await new Promise((resolve) => setTimeout(resolve, 10))
    for (const family of ['-4', '-6'])
      t.notMatch(JSON.stringify(await ip(undefined, family, 'rule')), '"priority":1000', 'no rule of the pod stays')
  })

t.test('a path to something else than a network namespace is refused with code 4', async (t) => {
  mkdirSync('/run/some')
  writeFileSync('/run/some/file', 'text')
  await run('mkfifo', '/run/some/pipe')
  const before = await linkNames()
  const paths = {
    '/run/some/file': 'is not a network namespace',
    '/run/some/pipe': 'is not a network namespace',
    '/run/some': 'is not a network namespace',
    '/dev/null': 'is not a network namespace',
    '/proc/self/ns/mnt': 'is not a network namespace',
    '/proc/self/ns/user': 'is not a network namespace',
    '/run/netns/missing': 'there is no network namespace',
    '/run/some/file/below': 'there is no network namespace',
  }
  for (const [netns, words] of Object.entries(paths))
    for (const command of ['ADD', 'CHECK']) {
      const config = command === 'CHECK' ? { prevResult: {} } : {}
      const { exitCode, json } = await call(command, { containerId: 'lost', netns, config })
      t.equal(exitCode, 1)
      if (command === 'CHECK') t.equal(json.code, 3, 'nobody knows it')
      else
        t.match(
          json,
          {
            code: 4,
            msg: words,
            details: /^CNI_NETNS must be the path of a network namespace that exists, below \/run\/netns where/,
          },
          netns,
        )
    }
  t.strictSame(await linkNames(), before)
})

t.test('CHECK refuses them, too, for a container that was added', async (t) => {
  const netns = await makeNetns('added')
  const { json: prevResult } = await call('ADD', { containerId: 'added', netns })
  for (const path of ['/run/some/file', '/proc/self/ns/mnt', '/run/netns/missing'])
    t.match(
      await call('CHECK', { containerId: 'added', netns: path, config: { prevResult } }),
      { json: { code: 4 } },
      path,
    )
  t.match(await call('CHECK', { containerId: 'added', netns: await makeNetns('other'), config: { prevResult } }), {
    json: { code: 102, msg: /link eth0 is missing in the pod/ },
  })
})

t.test('a namespace is found by any path: of a process, and under a link', async (t) => {
  const netns = await makeNetns('by-path')
  await run('ln', '-s', netns, '/run/some/link')
  const { json } = await call('ADD', { containerId: 'by-path', netns: '/run/some/link' })
  t.equal(json.interfaces[1].sandbox, '/run/some/link')
  t.match(await runIn(netns, 'ip', 'link', 'show', 'eth0'), 'eth0')
})

t.test('leases and kernel agree when all is over', async (t) => t.strictSame(await agent.ask('ipam check'), []))

t.end()
