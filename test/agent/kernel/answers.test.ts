import t from 'tap'
import { Answers, encodeRequests } from '../../../agent/kernel/answers.ts'
import type { KernelError } from '../../../agent/kernel/errors.ts'

const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const NLM_F_DUMP_INTR = 0x10
const RTM_NEWLINK = 16

function message(type: number, sequence: number, body: Buffer, flags = 0): Buffer {
  const header = Buffer.alloc(16)
  header.writeUInt32LE(16 + body.length, 0)
  header.writeUInt16LE(type, 4)
  header.writeUInt16LE(flags, 6)
  header.writeUInt32LE(sequence, 8)
  return Buffer.concat([header, body, Buffer.alloc(-body.length & 3)])
}

/** An acknowledgement, or a refusal: the errno, and the header of the request. */
function verdict(sequence: number, errno = 0): Buffer {
  const body = Buffer.alloc(20)
  body.writeInt32LE(-errno, 0)
  return message(NLMSG_ERROR, sequence, body)
}

t.test(
  'each request gets the answer with its number, in whatever order they come, and several in one datagram',
  async (t) => {
    const answers = new Answers()
    const [first, second] = [answers.expect('first'), answers.expect('second')]
    answers.receive(Buffer.concat([verdict(second.sequence), message(RTM_NEWLINK, first.sequence, Buffer.from('one'))]))
    t.same(second.outcome, [])
    t.equal(first.outcome, undefined)
    answers.receive(verdict(first.sequence))
    t.same(await first.settled, [{ type: RTM_NEWLINK, body: Buffer.from('one') }])
    t.equal(answers.size, 0)
  },
)

t.test('a refusal names the request and the errno, and wakes who waits', async (t) => {
  const answers = new Answers()
  const answer = answers.expect('link add x')
  const waiting = answer.settled
  answers.receive(verdict(answer.sequence, 17))
  t.match(await waiting, { request: 'link add x', errno: 'EEXIST' } satisfies Partial<KernelError>)
})

t.test('a listing that was interrupted in one of its parts is EINTR', (t) => {
  const answers = new Answers()
  const answer = answers.expect('link show')
  answers.receive(message(RTM_NEWLINK, answer.sequence, Buffer.alloc(4), NLM_F_DUMP_INTR))
  answers.receive(message(NLMSG_DONE, answer.sequence, Buffer.alloc(4)))
  t.match(answer.outcome, { errno: 'EINTR' })
  t.end()
})

t.test('what is no answer goes to who listens; what answers a request that was given up to nobody', (t) => {
  const answers = new Answers()
  const late = answers.expect('late')
  answers.giveUp(late, 'ETIMEDOUT')
  const unasked: number[] = []
  answers.receive(
    Buffer.concat([message(RTM_NEWLINK, late.sequence, Buffer.alloc(0)), message(99, 0, Buffer.alloc(0))]),
    ({ type }) => unasked.push(type),
  )
  t.same(unasked, [99])
  t.match(late.outcome, { errno: 'ETIMEDOUT' })
  t.end()
})

t.test('a torn datagram ends where it is torn', (t) => {
  const answers = new Answers()
  const [first, second] = [answers.expect('first'), answers.expect('second')]
  answers.receive(Buffer.concat([verdict(first.sequence), verdict(second.sequence).subarray(0, 30)]))
  t.same(first.outcome, [])
  t.equal(second.outcome, undefined)
  t.end()
})

t.test('requests stand one behind the other, each at a multiple of four bytes', (t) => {
  const request = (body: string) => ({ name: body, type: RTM_NEWLINK, flags: 0x400, body: Buffer.from(body) })
  const bytes = encodeRequests([
    { request: request('a'), sequence: 1, flags: 4 },
    { request: request('bcde'), sequence: 2, flags: 4 },
  ])
  t.equal(bytes.length, 20 + 20)
  t.equal(bytes.readUInt32LE(0), 17)
  t.equal(bytes.readUInt16LE(6), 0x405, 'NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE')
  t.equal(bytes.readUInt32LE(20 + 8), 2)
  t.equal(bytes.toString('latin1', 36, 40), 'bcde')
  t.end()
})
