import t from 'tap'
import { page, renewed } from './troubleshooting.ts'

t.test('docs/troubleshooting.md tells of every check what it says', async (t) => {
  t.equal(page(), renewed(page()), 'write it anew: node test/agent/doctor/troubleshooting.ts')
})

t.test('a page without a place for the table is refused', async (t) => {
  t.throws(() => renewed('# Troubleshooting\n'), { message: /has no lines/ })
})
