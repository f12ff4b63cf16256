import t from 'tap'
import { renderExposition } from '../../../agent/observe/exposition.ts'
import { Recorder } from '../../../agent/observe/recorder.ts'
import { CNI_ERROR, CniError } from '../../../plugin/errors.ts'
import { renderError } from '../../../plugin/result.ts'
import { readExposition } from './exposition-text.ts'

const DONE = { exitCode: 0, body: Buffer.from('{}') }
const refused = (error: CniError) => ({
  exitCode: 1,
  body: Buffer.from(JSON.stringify(renderError('1.1.0', error))),
})
const FULL = refused(new CniError(CNI_ERROR.notAvailable, 'no address is free', 'see: bramblectl ipam'))

const read = (recorder: Recorder, name: string, labels: Record<string, string>) =>
  readExposition(renderExposition(recorder.families())).find(
    (sample) => sample.name === name && Object.entries(labels).every(([label, text]) => sample.labels[label] === text),
  )?.value

t.test('calls are counted by command and outcome, with what they took in seconds', async (t) => {
  const recorder = new Recorder()
  recorder.called('ADD', 20, DONE)
  recorder.called('ADD', 30, FULL)
  t.equal(read(recorder, 'bramble_cni_call_duration_seconds_sum', { command: 'ADD', outcome: 'success' }), 0.02)
  t.equal(read(recorder, 'bramble_cni_call_duration_seconds_sum', { command: 'ADD', outcome: 'error' }), 0.03)
  t.equal(read(recorder, 'bramble_cni_errors_total', { command: 'ADD', code: '50' }), 1)
})

t.test('commands that there are not, however many, are one series', async (t) => {
  const recorder = new Recorder()
  const before = readExposition(renderExposition(recorder.families())).length
  for (let index = 0; index < 100; index++) recorder.called(`X${index}`, 1, FULL)
  recorder.called(undefined, 1, DONE)
  t.equal(read(recorder, 'bramble_cni_call_duration_seconds_count', { command: 'other', outcome: 'error' }), 100)
  t.ok(readExposition(renderExposition(recorder.families())).length < before + 40)
})

t.test('the last call that failed is kept with its reason, but not what STATUS says again and again', async (t) => {
  const recorder = new Recorder()
  t.equal(recorder.failedCall, undefined)
  recorder.called('ADD', 1, FULL)
  recorder.called('ADD', 1, DONE)
  recorder.called('STATUS', 1, refused(new CniError(CNI_ERROR.notAvailable, 'full')))
  t.match(recorder.failedCall, { command: 'ADD', reason: 'no address is free (see: bramblectl ipam)' })
})

t.test('the last repair of each loop is told for an hour, the newest first', async (t) => {
  const recorder = new Recorder()
  for (const what of ['one', 'another']) recorder.repaired('nodes', what)
  await new Promise((resolve) => setTimeout(resolve, 2))
  recorder.repaired('policies', 'the table is gone')
  t.match(recorder.lastRepairs(), [{ loop: 'policies' }, { loop: 'nodes', what: 'another' }])
  t.same(recorder.lastRepairs(performance.now() + 3_600_000), [])
})

t.test('a loop that fails was not as it should be, and says since when it was', async (t) => {
  const recorder = new Recorder()
  recorder.passed('nodes', 5, true)
  t.equal(recorder.lastPassMs('nodes'), undefined)
  recorder.passed('nodes', 5, false)
  t.ok(recorder.lastPassMs('nodes') !== undefined)
  t.equal(read(recorder, 'bramble_reconcile_errors_total', { loop: 'nodes' }), 1)
  t.equal(read(recorder, 'bramble_reconcile_duration_seconds_count', { loop: 'nodes' }), 2)
})
