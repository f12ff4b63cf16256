import t from 'tap'
import { Field, Problems } from '../../../agent/cluster/policy-fields.ts'
import { parseSelector } from '../../../agent/cluster/selector-object.ts'

function parse(value: unknown) {
  const problems = new Problems()
  return { selector: parseSelector(new Field(value, 'spec', problems, 'it selects nobody')), problems: problems.list }
}

t.test('a selector has one text, however it was written', async (t) => {
  const key = 'app'
  for (const [value, text] of [
    [undefined, ''],
    [null, ''],
    [{}, ''],
    [{ matchLabels: {}, matchExpressions: [] }, ''],
    [{ matchLabels: { app: 'web' } }, 'app=web'],
    [{ matchExpressions: [{ key, operator: 'In', values: ['web'] }] }, 'app=web'],
    [{ matchLabels: { app: 'web' }, matchExpressions: [{ key, operator: 'In', values: ['web', 'web'] }] }, 'app=web'],
    [{ matchLabels: { b: '', a: '1' } }, 'a=1,b='],
    [{ matchLabels: { a: '1', b: '' } }, 'a=1,b='],
    [{ matchExpressions: [{ key, operator: 'In', values: ['b', 'a'] }] }, 'app in (a,b)'],
    [{ matchExpressions: [{ key, operator: 'NotIn', values: ['b', 'a'] }] }, 'app notin (a,b)'],
    [{ matchExpressions: [{ key, operator: 'NotIn', values: ['a'] }] }, 'app!=a'],
    [{ matchExpressions: [{ key, operator: 'Exists' }] }, 'app'],
    [{ matchExpressions: [{ key, operator: 'DoesNotExist', values: [] }] }, '!app'],
    [{ matchLabels: { 'example.com/role': 'x_Y.z' } }, 'example.com/role=x_Y.z'],
  ] as const) {
    const { selector, problems } = parse(value)
    t.same([selector?.text, problems], [text, []])
    t.equal(selector?.requirements.length, text === '' ? 0 : text.split(/,(?![^(]*\))/).length)
  }
})

t.test('what the API server refuses is told by its field, and there is no selector', async (t) => {
  const expression = (change: object) => ({
    matchExpressions: [{ key: 'app', operator: 'In', values: ['web'], ...change }],
  })
  for (const [value, field] of [
    ['app=web', 'spec'],
    [['app'], 'spec'],
    [{ matchLabel: { app: 'web' } }, 'spec.matchLabel'],
    [{ matchLabels: 'app=web' }, 'spec.matchLabels'],
    [{ matchLabels: { app: 1 } }, 'spec.matchLabels.app'],
    [{ matchLabels: { app: 'x'.repeat(64) } }, 'spec.matchLabels.app'],
    [{ matchLabels: { app: '-x' } }, 'spec.matchLabels.app'],
    [{ matchLabels: { 'app ': 'x' } }, 'spec.matchLabels["app "]'],
    [{ matchLabels: { 'a/b/c': 'x' } }, 'spec.matchLabels["a/b/c"]'],
    [{ matchLabels: { '/b': 'x' } }, 'spec.matchLabels["/b"]'],
    [{ matchExpressions: {} }, 'spec.matchExpressions'],
    [{ matchExpressions: [null] }, 'spec.matchExpressions[0]'],
    [expression({ key: '' }), 'spec.matchExpressions[0].key'],
    [expression({ key: 7 }), 'spec.matchExpressions[0].key'],
    [expression({ operator: 'in' }), 'spec.matchExpressions[0].operator'],
    [expression({ operator: 'Gt', values: ['1'] }), 'spec.matchExpressions[0].operator'],
    [expression({ values: [] }), 'spec.matchExpressions[0].values'],
    [expression({ values: 'web' }), 'spec.matchExpressions[0].values'],
    [expression({ values: ['a', 'b,c'] }), 'spec.matchExpressions[0].values[1]'],
    [expression({ operator: 'Exists' }), 'spec.matchExpressions[0].values'],
    [expression({ value: 'web' }), 'spec.matchExpressions[0].value'],
  ] as const) {
    const { selector, problems } = parse(value)
    t.equal(selector, undefined)
    t.same(
      problems.map((problem) => problem.field),
      [field],
    )
  }
})

t.test('a long text is measured before it is matched', async (t) => {
  t.equal(parse({ matchLabels: { [`${'a-'.repeat(500_000)}!`]: 'x' } }).selector, undefined)
  t.equal(parse({ matchLabels: { app: `${'a-'.repeat(500_000)}!` } }).selector, undefined)
})
