import t from 'tap'
import { renderTable } from '../../ctl/table.ts'

t.test('columns are as wide as their widest cell, with two spaces between and none at the end', async (t) => {
  t.equal(
    renderTable(
      ['POD', 'N', 'ADDRESS'],
      [
        ['default/web', 1, '10.42.0.7'],
        ['a', 12345, ''],
      ],
    ),
    ['POD          N      ADDRESS', 'default/web  1      10.42.0.7', 'a            12345'].join('\n'),
  )
})

t.test('a table without rows is its head', async (t) => {
  t.equal(renderTable(['A', 'B'], []), 'A  B')
})

t.test('a row that is shorter than the head ends there', async (t) => {
  t.equal(renderTable(['A', 'B'], [['x']]), 'A  B\nx')
})
