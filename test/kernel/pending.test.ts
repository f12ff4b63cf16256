import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Agent, sleep, until } from './agent.ts'
import { buildPlugin, call, PLUGIN } from './plugin.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'
import { heldAddresses, kernelState, leases, removed, settled } from './state.ts'

/*
 * Calls that nobody hears to their end: a DEL that finds no agent, and an ADD whose plugin is killed. What the runtime
 * believes is done gets done, and what nobody knows of is undone.
 */
await enterScratchNode()
t.setTimeout(300_000)
const PENDING = '/run/bramble/pending'
const CONFIG = JSON.stringify({ cniVersion: '1.1.0', name: 'bramble', type: 'bramble' })
const BARE = await kernelState()

let agent = await Agent.start()

t.test(
  'a DEL that finds no agent ends well and leaves a note; the next agent carries it out before it serves',
  async (t) => {
    const pods = [await Pod.add(), await Pod.add(), await Pod.add()]
    const second = await pods[0]?.addInterface('net1')
    await agent.stop()
    const replies = await Promise.all([...pods, second].map((pod) => pod?.del()))
    for (const reply of replies) t.match(reply, { exitCode: 0, json: undefined, stderr: /tells the next one/ })
    t.strictSame(
      notes(),
      [...pods.map(({ containerId }) => `${containerId}:eth0`), `${pods[0]?.containerId}:net1`].sort(),
    )

    const starting = Agent.start()
    // The socket is there before the notes are read; who asks then is answered from the picture afterwards.
    await until('the socket is there', () => existsSync('/run/bramble/agent.sock'))
    const add = Pod.add()
    agent = await starting
    const next = await add
    t.strictSame(await leases(agent), [`${next.containerId}:eth0 ${next.addresses.join(' ')}`])
    t.strictSame(notes(), [])
    t.equal(agent.log.filter(({ msg }) => /carried out a DEL/.test(String(msg))).length, 4)
    const order = agent.log.map(({ msg }) => String(msg))
    t.ok(order.findLastIndex((msg) => /carried out a DEL/.test(msg)) < order.indexOf('ready'))
    await removed(next)
    t.strictSame(await settled(BARE), BARE)
    await Promise.all(pods.map((pod) => pod.vanish()))
  },
)

t.test('a DEL twice leaves one note; a DEL of what never was does no harm', async (t) => {
  const pod = await Pod.add()
  await agent.stop()
  const dels = [pod.del(), pod.del(), pod.del({ netns: '' }), call('DEL', { containerId: 'never-was' })]
  for (const del of dels) t.match(await del, { exitCode: 0 })
  t.strictSame(notes(), ['never-was:eth0', `${pod.containerId}:eth0`])
  agent = await Agent.start()
  t.strictSame(notes(), [])
  t.strictSame(await leases(agent), [])
  await pod.vanish()
})

t.test('a DEL while the agent restarts is answered by the next one, and leaves no note', async (t) => {
  const pod = await Pod.add()
  await agent.stop()
  const del = pod.del({ program: await buildPlugin('patient', 10_000) })
  await sleep(300)
  agent = await Agent.start()
  t.match(await del, { exitCode: 0, json: undefined, stderr: '' })
  t.strictSame(notes(), [])
  t.strictSame(await leases(agent), [])
  await pod.vanish()
})

t.test('an agent that hangs keeps no DEL from ending; the note is carried out by the next', async (t) => {
  // A plugin whose second lasts 100 ms: it gives up after 2 s, and tries once more for 0.3 s.
  const program = await buildPlugin('quick', 100)
  const pod = await Pod.add()
  agent.child.kill('SIGSTOP')
  t.match(await pod.del({ program }), { exitCode: 0, json: undefined, stderr: /no answer from the agent/ })
  t.strictSame(notes(), [`${pod.containerId}:eth0`])
  await agent.stop('SIGKILL')
  agent = await Agent.start()
  t.strictSame(await leases(agent), [])
  t.strictSame(notes(), [])
  await pod.vanish()
})

t.test(
  'a note that an ADD of the same container has outlived is carried out before that ADD, never after',
  async (t) => {
    const pod = await Pod.add()
    // As when a plugin is killed between its note and its second try.
    mkdirSync(PENDING, { recursive: true })
    writeFileSync(`${PENDING}/${pod.containerId}:eth0`, '')
    const { containerId, netns } = pod
    t.match(await call('ADD', { containerId, netns }), { exitCode: 0 }, 'the ADD finds the DEL done')
    t.strictSame(notes(), [])
    const before = await leases(agent)
    t.equal(before.length, 1)
    await agent.stop()
    agent = await Agent.start()
    t.strictSame(await leases(agent), before, 'the living pod keeps its network over the next start')
    t.strictSame(await agent.ask('ipam check'), [])
    await removed(pod)
  },
)

t.test('a note concerns one interface alone', async (t) => {
  const pod = await Pod.add()
  await pod.addInterface('net1')
  await agent.stop()
  mkdirSync(PENDING, { recursive: true })
  writeFileSync(`${PENDING}/${pod.containerId}:net1`, '')
  agent = await Agent.start()
  t.strictSame(await leases(agent), [`${pod.containerId}:eth0 ${pod.addresses.join(' ')}`])
  await removed(pod)
})

t.test('what is no note is left alone, and named in the log', async (t) => {
  const pod = await Pod.add()
  await agent.stop()
  const garbage = [
    'README',
    'a:b:c',
    ':eth0',
    'c1:',
    '-c1:eth0',
    'c1:0123456789abcdef',
    `${'x'.repeat(129)}:eth0`,
    'c 1:eth0',
    '..:eth0',
    '.hidden',
  ]
  for (const name of garbage) writeFileSync(`${PENDING}/${name}`, 'x')
  mkdirSync(`${PENDING}/${pod.containerId}:eth0`)
  const before = notes()
  agent = await Agent.start()
  t.strictSame(notes(), before)
  t.equal(agent.log.filter(({ msg }) => /not a note of ours/.test(String(msg))).length, garbage.length + 1)
  t.equal(await heldAddresses(agent), 1)
  await removed(pod)
  rmSync(PENDING, { recursive: true })
})

t.test('a pending folder that is none stops no agent and no DEL', async (t) => {
  const pod = await Pod.add()
  await agent.stop()
  writeFileSync(PENDING, '')
  t.match(await pod.del(), { exitCode: 0, stderr: /no note left in .*; the agent will find what remains by itself/ })
  agent = await Agent.start()
  t.equal(await heldAddresses(agent), 1)
  await pod.vanish()
  await until('freed by the end of the namespace', async () => (await heldAddresses(agent)) === 0)
  rmSync(PENDING)
})

t.test('at most 4,096 notes are left, and all are carried out', async (t) => {
  const [first, last] = [await Pod.add(), await Pod.add()]
  await agent.stop()
  mkdirSync(PENDING, { recursive: true })
  for (let i = 0; i < 4095; i++) writeFileSync(`${PENDING}/gone-${i}:eth0`, '')
  t.match(await first.del(), { exitCode: 0, stderr: /tells the next one/ })
  t.match(await last.del(), { exitCode: 0, stderr: /no note left in .*: it is full/ })
  t.equal(notes().length, 4096)
  agent = await Agent.start()
  t.strictSame(notes(), [])
  t.strictSame(
    await leases(agent),
    [`${last.containerId}:eth0 ${last.addresses.join(' ')}`],
    'the one too many is left',
  )
  await Promise.all([first.vanish(), last.vanish()])
  await until('and goes with its namespace', async () => (await heldAddresses(agent)) === 0)
})

t.test('hard case 4: the plugin is killed in mid-ADD, then DEL, then a retry with a new id', async (t) => {
  for (let round = 0; round < 20; round++) {
    const netns = await makeNetns(`mid-add-${round}`)
    const attempt = { containerId: `mid-add-${round}`, netns }
    await killedInAdd(attempt, round / 4)
    t.match(await call('DEL', attempt), { exitCode: 0 })
    const retry = { containerId: `mid-add-${round}-again`, netns }
    t.match(await call('ADD', retry), { exitCode: 0 }, `killed after ${round / 4} ms`)
    t.strictSame(
      (await agent.ask('pods')).map(({ containerId }) => containerId),
      [retry.containerId],
    )
    t.strictSame(await agent.ask('ipam check'), [])
    t.match(await call('DEL', retry), { exitCode: 0 })
    await run('ip', 'netns', 'delete', attempt.containerId)
  }
  t.strictSame(await settled(BARE), BARE)
})

t.test('hard case 4: an ADD whose plugin was killed is undone by the agent', async (t) => {
  const netns = await makeNetns('undone')
  agent.child.kill('SIGSTOP') // so that the plugin certainly waits
  const plugin = startAdd({ containerId: 'undone', netns })
  await until('the plugin has sent its request and sleeps', async () => {
    const line = await run('ss', '-xlH', 'src', 'unix:/run/bramble/agent.sock')
    return / LISTEN +1 /.test(line) && /^State:\s+S/m.test(readFileSync(`/proc/${plugin.pid}/status`, 'utf8'))
  })
  plugin.kill('SIGKILL')
  await once(plugin, 'exit')
  agent.child.kill('SIGCONT')
  const isLogged = () => agent.log.some(({ containerId, durationMs }) => containerId === 'undone' && durationMs)
  await until('the ADD has ended', isLogged)
  t.strictSame(await leases(agent), [])
  t.strictSame(await settled(BARE), BARE)
  t.match(
    await call('ADD', { containerId: 'undone-again', netns }),
    { exitCode: 0 },
    'nothing is in the way of the next',
  )
  t.match(await call('DEL', { containerId: 'undone-again', netns }), { exitCode: 0 })
})

t.test(
  'hard case 4: an ADD fails, its DEL fails too, nobody calls again: the end of the namespace frees all',
  async (t) => {
    for (const fault of ['add:recorded', 'add:answered', 'add:wired'] as const) {
      const name = fault.replace(':', '-')
      const netns = await makeNetns(name)
      await agent.stop()
      agent = await Agent.start({ env: { BRMTEST_FAULT: fault } })
      await call('ADD', { containerId: name, netns })
      t.equal(await agent.ended(), 'SIGKILL')
      const plugin = spawn(PLUGIN, {
        env: { CNI_COMMAND: 'DEL', CNI_CONTAINERID: name, CNI_IFNAME: 'eth0' },
        stdio: 'pipe',
      })
      plugin.stdin.end(CONFIG)
      await sleep(100)
      plugin.kill('SIGKILL')
      await once(plugin, 'exit')
      t.strictSame(notes(), [])

      agent = await Agent.start()
      t.equal(await heldAddresses(agent), fault === 'add:wired' ? 0 : 1)
      await run('ip', 'netns', 'delete', name)
      await until('freed', async () => (await heldAddresses(agent)) === 0)
      t.strictSame(await settled(BARE), BARE)
    }
  },
)

t.test('when all is over, nothing is left', async (t) => {
  t.strictSame(await leases(agent), [])
  t.equal(await agent.stop(), 0)
  t.strictSame(await settled(BARE), BARE)
})

function notes(): string[] {
  return existsSync(PENDING) ? readdirSync(PENDING).sort() : []
}

/** The plugin as the runtime starts it, for a test that does not let it end. */
function startAdd({ containerId, netns }: { containerId: string; netns: string }) {
  const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: containerId, CNI_IFNAME: 'eth0', CNI_NETNS: netns }
  const plugin = spawn(PLUGIN, { env, stdio: ['pipe', 'ignore', 'ignore'] })
  plugin.stdin.end(CONFIG)
  return plugin
}

async function killedInAdd(attempt: { containerId: string; netns: string }, afterMs: number): Promise<void> {
  const plugin = startAdd(attempt)
  const exited = once(plugin, 'exit')
  const untilMs = performance.now() + afterMs
  while (performance.now() < untilMs) await new Promise(setImmediate)
  plugin.kill('SIGKILL')
  await exited
}
