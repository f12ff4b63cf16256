import t from 'tap'
import type { Matrix, PolicyReport, PolicyRow, Preview, SideVerdict } from '../../agent/api/policy-answers.ts'
import { renderExplanation } from '../../ctl/policy-explain.ts'
import { renderMatrixPage } from '../../ctl/policy-html.ts'
import { renderMatrix } from '../../ctl/policy-matrix.ts'
import { isPreviewGood, renderPreview } from '../../ctl/policy-preview.ts'
import { renderPolicies } from '../../ctl/policy-show.ts'

const golden = (text: string) => text.replace(/^\n|\n$/g, '')

const row = (change: Partial<PolicyRow>): PolicyRow => ({
  policy: 'NetworkPolicy shop/web',
  tier: 'NetworkPolicy',
  priority: 0,
  isAudit: false,
  directions: ['ingress'],
  subject: 'pods app=web',
  pods: 3,
  localPods: 1,
  counted: [],
  ...change,
})
const ALL: PolicyReport = { mode: 'default', policies: [], morePolicies: 0, problems: [] }

t.test('policies: a line each, with what was counted', async (t) => {
  const counted = { direction: 'ingress', packets: 2, bytes: 120 } as const
  t.equal(
    renderPolicies({
      ...ALL,
      mode: 'never',
      policies: [
        row({ policy: 'ClusterNetworkPolicy all', tier: 'Admin', priority: 10, isAudit: true, directions: ['egress'] }),
        row({
          counted: [
            { ...counted, effect: 'accepted' },
            { ...counted, effect: 'dropped', packets: 4 },
          ],
        }),
      ],
      problems: ['NetworkPolicy shop/web: spec.ingress[0]: wrong'],
    }),
    golden(`
--policy-mode never: nothing is dropped, all is counted

POLICY                    TIER              FOR           PODS HERE  IN                     OUT
ClusterNetworkPolicy all  Admin 10 (audit)  pods app=web  1 of 3     -                      nothing here
NetworkPolicy shop/web    -                 pods app=web  1 of 3     accepted 2, dropped 4  -

problems:
  NetworkPolicy shop/web: spec.ingress[0]: wrong
`),
  )
  t.equal(renderPolicies(ALL), 'no policy is known: every pod is open')
})

t.test('a pod: in each direction what decides, in order', async (t) => {
  const rule = {
    policy: 'NetworkPolicy shop/web',
    path: 'spec.ingress[0]',
    action: 'Accept',
    words: 'from everybody',
  } as const
  const pod = {
    pod: 'shop/web-0',
    node: 'pi-1',
    addresses: ['10.42.0.7', 'fd42::7'],
    labels: { app: 'web' },
    isLocal: true,
    ingress: {
      rest: 'closed',
      policies: ['ClusterNetworkPolicy all', 'NetworkPolicy shop/web', 'NetworkPolicy shop/deny'],
      rules: [{ ...rule, policy: 'ClusterNetworkPolicy all', name: 'ours', action: 'Pass' }, rule],
      moreRules: 0,
    },
    egress: { rest: 'open', policies: [], rules: [], moreRules: 0 },
  } as const
  t.equal(
    renderPolicies({ ...ALL, pod, policies: [row({ policy: 'NetworkPolicy shop/deny', isAudit: true })] }),
    golden(`
pod        shop/web-0
node       pi-1 (this one)
addresses  10.42.0.7 fd42::7
labels     app=web

in: in this order; what no rule decides is closed
  ClusterNetworkPolicy all         spec.ingress[0] (ours)  hands on to the next tier: from everybody
  NetworkPolicy shop/web           spec.ingress[0]         lets through: from everybody
  NetworkPolicy shop/deny (audit)                          no rule: lets nothing through

out: open, no policy is about it

POLICY                   TIER       FOR           PODS HERE  IN            OUT
NetworkPolicy shop/deny  - (audit)  pods app=web  1 of 3     nothing here  -
`),
  )
})

t.test('of more than an answer has room for it is told how much is left out', async (t) => {
  const rules = [
    { policy: 'NetworkPolicy shop/web', path: 'spec.egress[0]', action: 'Accept', words: 'to all' },
  ] as const
  const closed = { rest: 'closed', policies: ['NetworkPolicy shop/web', 'NetworkPolicy shop/zzz'] } as const
  const pod = {
    ...{ pod: 'shop/web-0', node: 'pi-1', addresses: ['10.42.0.7'], labels: {}, isLocal: true },
    ...{ ingress: { ...closed, rules: [], moreRules: 0 }, egress: { ...closed, rules, moreRules: 7 } },
  }
  t.match(
    renderPolicies({ ...ALL, pod, policies: [row({})], morePolicies: 12 }),
    /out: in this order; what no rule decides is closed\n {2}NetworkPolicy shop\/web .*\n {2}and 7 more rules\n(?:.|\n)*\n\nand 12 more policies$/,
  )
})

const side = (change: Partial<SideVerdict>): SideVerdict => ({
  isAllowed: true,
  kind: 'default',
  passes: [],
  audited: [],
  ...change,
})
const ENDS = {
  from: { name: 'shop/db-0', addresses: ['10.42.0.8', 'fd42::8'] },
  to: { name: 'shop/web-0', addresses: ['10.42.0.7', 'fd42::7'], note: 'a note' },
}

t.test('an explanation: the rule that decides as YAML, with its path', async (t) => {
  const rule = {
    policy: 'NetworkPolicy shop/web',
    path: 'spec.ingress[0]',
    action: 'Accept',
    source: { from: [{ podSelector: { matchLabels: { on: 'yes' } } }], ports: [{ port: 80 }] },
  } as const
  t.equal(
    renderExplanation({
      ...ENDS,
      isAllowed: true,
      cases: [
        {
          families: [4],
          ports: 'TCP 80',
          isAllowed: true,
          egress: side({ audited: [{ policies: ['NetworkPolicy shop/out'] }] }),
          ingress: side({ kind: 'rule', rule }),
          missing: [],
        },
      ],
    }),
    golden(`
shop/web-0: a note

allowed: shop/db-0 (10.42.0.8) to shop/web-0 (10.42.0.7), TCP 80, IPv4
out of shop/db-0: would be denied, isolated by NetworkPolicy shop/out, were that not on audit
out of shop/db-0: allowed, no policy decides
into shop/web-0: allowed by NetworkPolicy shop/web, spec.ingress[0]:
    - from:
        - podSelector:
            matchLabels:
              "on": "yes"
      ports:
        - port: 80
`),
  )
})

t.test('an explanation: what is missing, as a rule or as a policy', async (t) => {
  const denied = {
    families: [4, 6] as const,
    ports: 'TCP 81',
    isAllowed: false,
    egress: side({}),
    ingress: side({ isAllowed: false, kind: 'isolated', policies: ['NetworkPolicy shop/web', 'NetworkPolicy shop/b'] }),
  }
  const rule = { direction: 'ingress', kind: 'rule', path: 'spec.ingress[1]', source: { a: 1 } } as const
  const told = (missing: Parameters<typeof renderExplanation>[0]['cases'][0]['missing']) =>
    renderExplanation({ ...ENDS, to: ENDS.from, isAllowed: false, cases: [{ ...denied, missing }] })
  t.equal(
    told([{ ...rule, policy: 'NetworkPolicy shop/web' }]),
    golden(`
denied: shop/db-0 (10.42.0.8, fd42::8) to shop/db-0 (10.42.0.8, fd42::8), TCP 81, IPv4 and IPv6
out of shop/db-0: allowed, no policy decides
into shop/db-0: denied, isolated by NetworkPolicy shop/web, NetworkPolicy shop/b, and no rule lets it through

what is missing: this in NetworkPolicy shop/web, as spec.ingress[1]:
    - a: 1
`),
  )
  t.match(told([{ ...rule, policy: 'ClusterNetworkPolicy all' }]), 'spec.ingress[1], before the rule that is there:\n')
  t.match(
    told([{ direction: 'ingress', kind: 'policy', source: { kind: 'NetworkPolicy' } }]),
    '\n    kind: NetworkPolicy',
  )
  t.match(told([]), 'ask about one port to see what is missing for it: shop/db-0:PORT/PROTO')
})

const PREVIEW: Preview = {
  changes: [{ policy: 'NetworkPolicy shop/web', what: 'changed' }],
  others: [],
  problems: [],
  differences: [],
  moreDifferences: 0,
  alike: [],
  pairs: { compared: 4, all: 4 },
}

t.test('a preview: what opens and closes between whom, and which connections would be cut', async (t) => {
  const flow = {
    from: 'shop/db-0',
    to: 'shop/web-0',
    source: '10.42.0.8:4711',
    destination: '10.42.0.7',
    port: 'TCP 80',
    why: 'in: isolated by NetworkPolicy shop/web',
  }
  t.equal(
    renderPreview({
      ...PREVIEW,
      others: ['Deployment shop/web'],
      differences: [
        { from: ['a', 'b', 'c', 'd', 'e', 'f'], to: ['shop/web-0'], opened: 'TCP 80', closed: 'ICMP' },
        { from: ['world'], to: ['x', 'y (+1)'], closed: 'everything', family: 6 },
      ],
      moreDifferences: 7,
      alike: [{ name: 'y (+1)', count: 2, members: ['y', 'z'] }],
      pairs: { compared: 3, all: 4 },
      flows: { cut: [flow], more: 1, looked: 30 },
    }),
    golden(`
NetworkPolicy shop/web: changed
passed over, as these are no policies: Deployment shop/web

        FROM                     TO          PORTS
opens   a, b, c, d and 2 others  shop/web-0  TCP 80
closes  a, b, c, d and 2 others  shop/web-0  ICMP
closes  world                    x, y (+1)   everything (IPv6 only)
and 7 more differences like these

        ALIKE
y (+1)  y, z

only 3 of 4 pairs were compared in time: preview fewer policies at once

2 of 30 connections of pods of this node would be cut:
FROM       TO          PORT    ADDRESSES                    WHY
shop/db-0  shop/web-0  TCP 80  10.42.0.8:4711 to 10.42.0.7  in: isolated by NetworkPolicy shop/web
and 1 more
`),
  )
})

t.test('a preview without a difference says so; one with problems is not good', async (t) => {
  t.equal(renderPreview(PREVIEW), 'NetworkPolicy shop/web: changed\n\nnothing changes between any two')
  t.ok(isPreviewGood(PREVIEW))
  const bad = { ...PREVIEW, problems: [{ object: 'NetworkPolicy shop/web', reason: 'spec: wrong' }] }
  t.notOk(isPreviewGood(bad))
  t.match(renderPreview(bad), '\nproblems:\n  NetworkPolicy shop/web: spec: wrong\n')
})

const end = (name: string, kind: 'own' | 'outside' = 'own') => ({ name, kind, count: 1, members: [name] })
const MATRIX: Matrix = {
  namespace: 'shop',
  ends: [end('web-0'), end('<b>"db"&\'s', 'own'), end('world', 'outside')],
  cells: [
    { from: 0, to: 1, reach: 'some', ports: 'TCP 5432', why: ['TCP 5432: allowed', 'all else: <denied>'] },
    { from: 1, to: 0, reach: 'all', ports: 'everything', why: ['everything: allowed'] },
    { from: 2, to: 0, reach: 'none', ports: 'nothing', why: ['everything: denied'] },
  ],
  leftOut: 2,
}

t.test('a matrix: marks below the numbers of the columns', async (t) => {
  t.equal(
    renderMatrix({ ...MATRIX, port: 'TCP 5432' }),
    golden(`
namespace shop: who reaches whom on TCP 5432, from the line to the column
+ all, o some, . nothing

   FROM        1  2  3
1  web-0          o
2  <b>"db"&'s  +
3  world       .

o
1 to 2  TCP 5432

2 more, of pods or of others that are alike, have no place here
`),
  )
})

t.test('a matrix: those that no policy tells apart are named below it', async (t) => {
  const names = Array.from({ length: 12 }, (_, index) => `shop/db-${index}`)
  const alike = { name: 'db-0 (+29)', kind: 'own', count: 30, members: names } as const
  const text = renderMatrix({ ...MATRIX, ends: [end('web-0'), alike, end('world', 'outside')], leftOut: 0 })
  t.ok(text.endsWith(`\n\n   ALIKE\n2  ${names.slice(0, 8).join(', ')} and 22 more`), text)
})

t.test('a matrix of ten and more: marks stand below the last digit', async (t) => {
  const ends = Array.from({ length: 10 }, (_, index) => end(`p${index}`))
  const text = renderMatrix({
    ...MATRIX,
    ends,
    cells: [{ from: 9, to: 9, reach: 'all', ports: 'everything', why: [] }],
    leftOut: 0,
  })
  const lines = text.split('\n')
  const head = lines.find((line) => line.includes('FROM')) ?? ''
  const last = lines.find((line) => line.includes('p9')) ?? ''
  t.equal(last.lastIndexOf('+'), head.lastIndexOf('10') + 1)
})

t.test('a page: names and reasons are text in it, and nothing is loaded from elsewhere', async (t) => {
  const page = renderMatrixPage(MATRIX)
  t.match(page, /^<!DOCTYPE html>\n.*<\/html>$/s)
  t.notMatch(page, '<b>')
  t.match(page, '&#60;b&#62;&#34;db&#34;&#38;&#39;s')
  t.match(page, '<td class="some" title="TCP 5432: allowed\nall else: &#60;denied&#62;">◐<small>TCP 5432</small></td>')
  t.match(page, '<td class="none" title="everything: denied">✗</td>')
  t.match(page, "default-src 'none'")
  t.match(page, 'prefers-color-scheme: dark')
  t.notMatch(page, /https?:|<script|url\(|@import/)
  t.equal(page.match(/<tr>/g)?.length, 1 + MATRIX.ends.length)
  t.equal(page.match(/<td[ >]/g)?.length, 1 + MATRIX.ends.length ** 2)
})
