import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { sleep, until } from '../agent.ts'
import { inside } from '../cluster.ts'
import { startFriends, tableOfPolicies } from './friends.ts'
import { flood, timeOpen } from './sneak.ts'

/**
 * Hard case 8: somebody takes the rules away, or a part of them, while a stranger tries to get through all the time. How
 * long it could is told by the kernel's times of what came through; and for how long the kernel had no processor for the
 * agent, which it is not to be blamed for on a busy machine.
 */

/** What is promised: docs/policy.md. */
const OPEN_MS_MAX = 1_000

const { lab, server, friend, stranger } = await startFriends()
t.teardown(() => lab.stop())
const agent = lab.agents[0]
if (!agent) throw new Error('no agent')
const [server4 = ''] = server.addresses
const [friend4 = ''] = friend.addresses

const TABLE = 'inet bramble-policy'
const nft = async (...words: string[]) => {
  const { exitCode, stdout, stderr } = await inside('n1', 'nft', ...words)
  if (exitCode !== 0) throw new Error(`nft ${words.join(' ')}: ${stderr}`)
  return stdout
}
const WHOLE = await tableOfPolicies()

/** The chain that the server's address leads to, with handles. */
async function chainOfServer(): Promise<{ name: string; text: string }> {
  const map = await nft('list', 'map', ...TABLE.split(' '), 'ingress4')
  const name = new RegExp(`${server4.replaceAll('.', '\\.')} : jump (in-\\w+)`).exec(map)?.[1] ?? ''
  return { name, text: await nft('-a', 'list', 'chain', ...TABLE.split(' '), name) }
}

const { name: chain, text } = await chainOfServer()
const [, isolation] = /goto drop-in-.* # handle (\d+)/.exec(text) ?? []
const [friends] = /pods4-\w+/.exec(text) ?? []

/** For how long the kernel let the agent wait for a processor, in all its threads: sched-stats.rst. */
function waitedMs(): number {
  const tasks = `/proc/${agent?.child.pid}/task`
  const waited = readdirSync(tasks).map((task) =>
    Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[1]),
  )
  return waited.reduce((sum, ns) => sum + ns, 0) / 1e6
}

const reports = () => agent.log.filter(({ msg }) => /another program has changed the table/.test(String(msg))).length

/** @returns for how long the stranger got through until the table was whole, but for what the agent waited */
async function harmed(harm: string, meanwhile = async () => {}): Promise<{ openMs: number; waitedMs: number }> {
  const open = await timeOpen([server.netns])
  const [waitedBefore, reportsBefore] = [waitedMs(), reports()]
  await nft(harm)
  await meanwhile()
  await until(
    `it is whole again and told: ${harm}`,
    async () => reports() > reportsBefore && (await tableOfPolicies()) === WHOLE,
  )
  return { waitedMs: waitedMs() - waitedBefore, openMs: await open() }
}

const attack = await flood(server.addresses.map((address) => ({ netns: stranger.netns, address })))
t.teardown(attack)

for (const [what, harm] of Object.entries({
  'the whole ruleset is flushed': 'flush ruleset',
  'the table is deleted': `delete table ${TABLE}`,
  'the rule that closes a pod is deleted': `delete rule ${TABLE} ${chain} handle ${isolation}`,
  'the chain of a pod is flushed': `flush chain ${TABLE} ${chain}`,
  'the pod is taken out of the map that leads to its chain': `delete element ${TABLE} ingress4 { ${server4} }`,
  'somebody who may is taken out of a set': `delete element ${TABLE} ${friends} { ${friend4} }`,
  'somebody who may not is put into a set': `add element ${TABLE} ${friends} { ${stranger.addresses[0]} }`,
  'a rule that lets all through is put before ours': `insert rule ${TABLE} forward accept`,
}))
  t.test(`within a second the pod is closed again, and it is told: ${what}`, async (t) => {
    const { openMs, waitedMs } = await harmed(harm)
    t.ok(
      openMs - waitedMs <= OPEN_MS_MAX,
      `open for ${openMs} ms, of which the agent waited ${Math.round(waitedMs)} ms`,
    )
  })

t.test('the test itself: with an agent that stands still for longer, it would have failed', async (t) => {
  agent.child.kill('SIGSTOP')
  const { openMs, waitedMs } = await harmed('flush ruleset', async () => {
    await sleep(2 * OPEN_MS_MAX)
    agent.child.kill('SIGCONT')
  })
  t.ok(openMs - waitedMs > OPEN_MS_MAX, `open for ${openMs} ms, of which the agent waited ${Math.round(waitedMs)} ms`)
})
