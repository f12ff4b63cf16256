import t from 'tap'
import { desiredPolicy } from '../../../agent/ruleset/desired.ts'
import { listedElement, outline } from '../../../agent/ruleset/outline.ts'
import { renderTable } from '../../../agent/ruleset/render.ts'
import { CLIENT, input, networkPolicy } from './compile-cluster.ts'

const policies = [networkPolicy('web', { ingress: [{ from: [CLIENT], ports: [{ port: 80 }, { port: 443 }] }] })]
const TEXT = renderTable(desiredPolicy(input({ policies })))

/** As `nft --terse --stateless` prints it: no elements, no values of counters, blank lines between blocks, other words. */
const LISTED = TEXT.replace(/^(add|delete) table .*\n/gm, '')
  .replaceAll(/^\t\telements = .*\n/gm, '')
  .replaceAll('packets 0 bytes 0\n', '\n')
  .replaceAll('\t}\n', '\t}\n\n')
  .replace('priority raw', 'priority -300')
  .replace('priority -300', 'priority raw')
  .replace('dport { 80, 443 }', 'dport { http, https }')
  .replaceAll('type ipv4_addr\n', 'type ipv4_addr\n\t\tsize 65535\n')

t.test('what versions of nft print differently is the same, in whatever order', async (t) => {
  t.not(LISTED, TEXT, 'the test itself')
  t.equal(outline(LISTED), outline(TEXT))
  const [head = '', ...blocks] = LISTED.split(/\n(?=\t\w)/)
  t.equal(outline([head, ...blocks.reverse()].join('\n')), outline(TEXT))
})

t.test('what somebody has changed is not', async (t) => {
  const harm: Record<string, (text: string) => string> = {
    'a rule is gone': (text) => text.replace(/\n.*ct state established.*/, ''),
    'a rule came': (text) => text.replace('accept;\n', 'accept;\n\t\tip daddr 192.0.2.7 accept\n'),
    'a rule was replaced': (text) => text.replace(/(\tcounter name "dropped-in") drop comment .*/, '$1'),
    'rules changed places': (text) => text.replace(/(\t\tip daddr vmap.*\n)(\t\tip6 daddr vmap.*\n)/, '$2$1'),
    'it was put to sleep': (text) => text.replace('{\n', '{\n\tflags dormant\n'),
    'its policy is another': (text) => text.replace('policy accept', 'policy drop'),
    'its priority is another': (text) => text.replace('filter - 5', 'filter + 5'),
    'a chain came': (text) => text.replace(/\}\s*$/, '\tchain other {\n\t}\n}'),
    'a chain is gone': (text) => text.replace(/\n\tchain drop-in-\w+ \{[^}]*\}/, ''),
    'a set is of another type': (text) => text.replace('type ipv6_addr . ipv6_addr', 'type ipv6_addr'),
    'a set is gone': (text) => text.replace(/\n\tset pods4-\w+ \{[^}]*\}/, ''),
  }
  for (const [what, change] of Object.entries(harm)) {
    t.not(change(LISTED), LISTED, `the test itself: ${what}`)
    t.not(outline(change(LISTED)), outline(TEXT), what)
  }
})

t.test('no table has no outline', async (t) => {
  t.equal(outline(''), '')
})

t.test('an element is as we write it, however the library lists it', async (t) => {
  const cases: [unknown, [string, string] | undefined][] = [
    ['10.42.0.5', ['10.42.0.5', '']],
    [{ elem: { val: '10.42.0.5', comment: 'of somebody' } }, ['10.42.0.5', '']],
    [{ concat: ['10.42.0.5', 'tcp', 80] }, ['10.42.0.5 . 6 . 80', '']],
    [{ concat: ['10.42.0.5', 132, 80] }, ['10.42.0.5 . 132 . 80', '']],
    [{ prefix: { addr: '10.0.0.0', len: 8 } }, ['10.0.0.0/8', '']],
    [{ range: ['10.0.0.1', '10.0.0.7'] }, ['10.0.0.1-10.0.0.7', '']],
    ['::ffff:192.0.2.1', ['::ffff:c000:201', '']],
    [{ concat: ['::192.0.2.1', 'tcp', 80] }, ['::c000:201 . 6 . 80', '']],
    [
      ['10.42.0.5', { jump: { target: 'in-x' } }],
      ['10.42.0.5', 'in-x'],
    ],
    [['10.42.0.5', { accept: null }], undefined],
    [{ set: ['10.42.0.5'] }, undefined],
    [null, undefined],
  ]
  for (const [listed, element] of cases) t.same(listedElement(listed), element)
})
