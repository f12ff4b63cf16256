import t from 'tap'
import { printable, printableAnswer, printableJson, printableLines } from '../../ctl/printable.ts'

t.test('controls, and what turns or joins text, are shown as JSON escapes them; the rest stays', async (t) => {
  t.equal(printable('web-0 größe 日本 😀'), 'web-0 größe 日本 😀')
  t.equal(printable('a\u001b[31mb\nc\td\u007f\u009b'), 'a\\u001b[31mb\\u000ac\\u0009d\\u007f\\u009b')
  t.equal(printable('\u202e\u2066\u200d\u2028\ufeff'), '\\u202e\\u2066\\u200d\\u2028\\ufeff')
  t.equal(printable('\u{e0041}\ud800'), '\\udb40\\udc41\\ud800')
  t.equal(printableLines('a\r\nb'), 'a\\u000d\nb')
})

t.test('of an answer keys are cleaned, too, and what is no text stays as it is', async (t) => {
  t.same(printableAnswer({ 'a\n': ['\u001b', 1, null, true, { b: undefined }] }), {
    'a\\u000a': ['\\u001b', 1, null, true, { b: undefined }],
  })
})

t.test('a key called __proto__ is a key like any other', async (t) => {
  const answer = JSON.parse('{"__proto__":{"isAllowed":true}}')
  t.equal(printableAnswer(answer).isAllowed, undefined)
  t.equal(JSON.stringify(printableAnswer(answer)), JSON.stringify(answer))
})

t.test('JSON is that of the answer, with no control in it', async (t) => {
  const answer = { name: 'a\u009b\u202e\n\u{e0041}' }
  const json = printableJson(answer)
  t.notMatch(json, /[^\P{C}\n]/u)
  t.same(JSON.parse(json), answer)
})
