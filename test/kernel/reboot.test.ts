import { randomUUID } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { LINK_GROUP } from '../../agent/ownership.ts'
import { Agent } from './agent.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { capture, enterScratchNode, makeNetns, run } from './scratch.ts'

await enterScratchNode()
t.setTimeout(300_000)
const STATE_DIR = '/run/bramble'

t.test('hard case 5: fifty reboots with no DEL, and not one address is missing', async (t) => {
  const podCidrs = ['10.42.0.0/29', 'fd42::/125']
  const free = { capacity: 7, used: 0, cooling: 0, free: 7 }
  for (let boot = 0; boot < 50; boot++) {
    await reboot(boot)
    const agent = await Agent.start({ podCidrs })
    t.match(await agent.ask('ipam'), [free, free])
    await Promise.all(Array.from({ length: boot % 10 === 9 ? 7 : 2 }, () => Pod.add()))
    if (boot % 10 === 9)
      t.match(await call('ADD', { containerId: 'one-more', netns: await makeNetns('one-more') }), {
        json: { code: 11 },
      })
    await agent.stop(boot % 2 === 0 ? 'SIGKILL' : 'SIGTERM')
  }
  await reboot(50)
  const agent = await Agent.start({ podCidrs })
  t.match(await agent.ask('ipam'), [free, free])
  t.equal(await agent.stop(), 0)
})

/** What is left of pods after a boot: no link, no namespace, nothing in /run, and another boot id. */
async function reboot(number: number): Promise<void> {
  const bootId = '/proc/sys/kernel/random/boot_id'
  await capture('ip', ['link', 'delete', 'group', String(LINK_GROUP.pods)])
  await capture('ip', ['link', 'delete', 'group', String(LINK_GROUP.condemned)])
  await run('ip', '-all', 'netns', 'delete')
  rmSync(STATE_DIR, { recursive: true, force: true })
  if (number > 0) await run('umount', bootId)
  writeFileSync('/run/boot-id', `${randomUUID()}\n`)
  await run('mount', '--bind', '/run/boot-id', bootId)
}
