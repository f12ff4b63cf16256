import { pino } from 'pino'
import t from 'tap'
import { KernelError } from '../../../agent/kernel/errors.ts'
import type { Netlink } from '../../../agent/kernel/netlink.ts'
import { CondemnedLinks } from '../../../agent/pods/condemned.ts'

/** A kernel that answers when the test says so. */
function slowKernel() {
  const answers: PromiseWithResolvers<[]>[] = []
  const send = () => {
    const answer = Promise.withResolvers<[]>()
    answers.push(answer)
    return answer.promise
  }
  return { netlink: { send } as unknown as Netlink, answers }
}

t.test('links that are being deleted count until they are gone: an ADD that finds them in its way waits', async (t) => {
  const { netlink, answers } = slowKernel()
  const condemned = new CondemnedLinks(netlink, pino({ level: 'silent' }))
  condemned.added()
  condemned.added()
  t.equal(condemned.count, 2)
  const byTimer = condemned.flush()
  await Promise.resolve().then(() => {})
  t.equal(answers.length, 1, 'the deletion is under way')
  t.equal(condemned.count, 2)
  const byAdd = condemned.flush()
  answers[0]?.resolve([])
  await Promise.all([byTimer, byAdd])
  t.equal(condemned.count, 0)
  t.equal(answers.length, 1, 'what one deletion took along needs no second one')
})

t.test('links that the kernel did not delete stay counted, and go with the next ones', async (t) => {
  const { netlink, answers } = slowKernel()
  const condemned = new CondemnedLinks(netlink, pino({ level: 'silent' }))
  condemned.added()
  const refused = condemned.flush()
  await Promise.resolve().then(() => {})
  answers[0]?.reject(new KernelError('link delete group', 'EBUSY'))
  await t.rejects(refused, { message: /EBUSY/ })
  t.equal(condemned.count, 1)
  condemned.added()
  const deleted = condemned.flush()
  await Promise.resolve().then(() => {})
  answers[1]?.resolve([])
  await deleted
  t.equal(condemned.count, 0)
})

t.test('a group that is empty by now is success: the namespaces took their links along', async (t) => {
  const { netlink, answers } = slowKernel()
  const condemned = new CondemnedLinks(netlink, pino({ level: 'silent' }))
  condemned.added()
  const deleted = condemned.flush()
  await Promise.resolve().then(() => {})
  answers[0]?.reject(new KernelError('link delete group', 'ENODEV'))
  await deleted
  t.equal(condemned.count, 0)
})
