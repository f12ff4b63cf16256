import t from 'tap'
import { type CleanupReport, complaints, renderReport } from '../../../agent/cleanup/report.ts'

const REPORT: CleanupReport = {
  isDryRun: false,
  objects: [{ object: 'link brm0123456789ab (pod default/web)' }, { object: 'route blackhole 10.42.1.0/24 proto 97' }],
  unknown: [],
  pods: 1,
  settingsLeft: ['net/ipv4/ip_forward=1'],
}

t.test('what was removed is told line by line, and then what it means', async (t) => {
  t.equal(
    renderReport(REPORT),
    `removed link brm0123456789ab (pod default/web)
removed route blackhole 10.42.1.0/24 proto 97
2 objects removed
one pod lost the network until made anew
left as they are, since other programs may rely on them: net/ipv4/ip_forward=1`,
  )
  t.same(complaints(REPORT), [])
})

t.test('a dry run says what it would do', async (t) => {
  t.equal(
    renderReport({ ...REPORT, isDryRun: true, pods: 3, settingsLeft: [] }),
    `would remove link brm0123456789ab (pod default/web)
would remove route blackhole 10.42.1.0/24 proto 97
2 objects; nothing was changed
3 pods would lose the network until made anew`,
  )
})

t.test('what is left, or could not be looked for, is no success', async (t) => {
  const [first] = REPORT.objects
  const report: CleanupReport = {
    ...REPORT,
    objects: [...(first ? [first] : []), { object: 'table inet bramble', error: 'EPERM' }],
    unknown: [{ kind: 'rules', error: 'ETIMEDOUT' }],
  }
  t.match(renderReport(report), 'removed link brm0123456789ab (pod default/web)\n1 of 2 objects removed\n')
  t.same(complaints(report), ['cannot remove table inet bramble: EPERM', 'cannot look for rules: ETIMEDOUT'])
})

t.test('nothing is only said to be there when all was looked for', async (t) => {
  const nothing: CleanupReport = { ...REPORT, objects: [], pods: 0 }
  t.equal(renderReport(nothing), 'nothing of Bramble is on this node')
  t.equal(renderReport({ ...nothing, unknown: [{ kind: 'nftables tables', error: 'no library' }] }), 'nothing found')
})
