import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { capture, enterScratchNode, run } from './kernel/scratch.ts'

const DEMO = fileURLToPath(new URL('./demo-policy.ts', import.meta.url))

await enterScratchNode()

/** What the machine has that others can see. */
async function machine() {
  const [links, routes, rules] = await Promise.all([
    run('ip', '-br', 'link'),
    run('ip', 'route', 'show', 'table', 'all'),
    run('nft', 'list', 'ruleset'),
  ])
  return { links, routes, rules, files: readdirSync('/run'), namespaces: readdirSync('/run/netns') }
}

t.test(
  'the demo of policies shows a deny, who says so, and the change that lifts it, and leaves nothing',
  async (t) => {
    const before = await machine()
    const { exitCode, stdout, stderr } = await capture(process.execPath, [DEMO])
    t.equal(exitCode, 0, stderr)
    t.match(stdout, /^ +shop\/web +shop\/db:5432 +yes +no +yes$/m)
    t.match(stdout, /^ +guest\/visitor +shop\/db:5432 +yes +no +no$/m)
    t.match(stdout, /^ +its node pi-1 +shop\/db:5432 +yes +yes +yes$/m)
    t.match(stdout, /^ +guest\/visitor +shop\/web:80 +yes +yes +yes$/m)
    t.match(stdout, /^ +denied: shop\/web .*TCP 5432/m)
    t.match(stdout, /^ +opens +shop\/web +shop\/db +TCP 5432$/m)
    t.match(stdout, /^ +NetworkPolicy shop\/db .* dropped [1-9]/m)
    t.notMatch(stdout, '\x1b', 'colours are for terminals')
    t.same(await machine(), before)
  },
)
