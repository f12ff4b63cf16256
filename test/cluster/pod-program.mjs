/*
 * What the pods of the tests run, on the Node.js of Bramble's image:
 *
 *     node pod-program.mjs                  answers HTTP at port 8080, and counts datagrams at port 8081
 *     node pod-program.mjs ask PATH         asks the one in this pod, and prints what it says
 *
 *     /                                     its pod and node
 *     /fetch?urls=URL,URL                   of each the answer, or what failed
 *     /tick?to=ADDRESS&stream=NAME&perSecond=N   sends numbered datagrams from now on
 *     /stop?stream=NAME                     no more; how many were sent
 *     /counted?stream=NAME                  how many of them came, each number once
 *     /missed                               how many datagrams came to the pod while its socket was full
 */
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { createServer, get } from 'node:http'

const PORT = Number(process.env.PORT ?? 8080)
const DATAGRAMS_PORT = PORT + 1
const FETCH_TIMEOUT_MS = 3000
/** Timers are not exact; what is due is sent at once. */
const TICK_MS = 2

const streams = new Map()
const counts = new Map()

function serve() {
  createServer(async (request, response) => {
    const url = new URL(request.url, 'http://pod')
    const { urls, ...query } = Object.fromEntries(url.searchParams)
    const answers = {
      '/': () => ({ pod: process.env.POD, node: process.env.NODE }),
      '/fetch': () => Promise.all(urls.split(',').map(fetchOne)),
      '/tick': () => tick(query),
      '/stop': () => streams.get(query.stream)?.(),
      '/missed': missed,
      '/counted': () => counts.get(query.stream)?.size ?? 0,
    }
    const answer = answers[url.pathname]
    response.statusCode = answer ? 200 : 404
    response.end(JSON.stringify((await answer?.()) ?? null))
  }).listen(PORT, '::')
  const socket = createSocket({ type: 'udp6', recvBufferSize: 4 << 20 })
  socket.on('message', (message) => {
    const [stream, number] = String(message).split(' ')
    if (!counts.has(stream)) counts.set(stream, new Set())
    counts.get(stream).add(Number(number))
  })
  socket.bind(DATAGRAMS_PORT, '::')
}

function tick({ to, stream, perSecond }) {
  const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4')
  const told = { sent: 0, failed: 0 }
  const startedMs = performance.now()
  const sendDue = () => {
    for (const due = ((performance.now() - startedMs) * perSecond) / 1000; told.sent < due; told.sent++)
      socket.send(`${stream} ${told.sent}`, DATAGRAMS_PORT, to, (error) => error && told.failed++)
  }
  const timer = setInterval(sendDue, TICK_MS)
  streams.set(stream, () => {
    clearInterval(timer)
    return told
  })
  return told
}

/** The kernel's word: a busy machine lets this program wait for longer than its socket takes datagrams. */
function missed() {
  const port = `:${DATAGRAMS_PORT.toString(16).toUpperCase().padStart(4, '0')}`
  const lines = readFileSync('/proc/self/net/udp6', 'utf8').split('\n')
  return Number(
    lines
      .map((line) => line.trim().split(/\s+/))
      .find(([, local]) => local?.endsWith(port))
      ?.at(-1),
  )
}

function fetchOne(url) {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: FETCH_TIMEOUT_MS }, (response) => {
      let body = ''
      response.on('data', (data) => (body += data)).on('end', () => resolve({ url, ...JSON.parse(body) }))
    })
    request.on('timeout', () => request.destroy(new Error('no answer')))
    request.on('error', ({ message }) => resolve({ url, failed: message }))
  })
}

if (process.argv[2] === 'ask')
  get(`http://127.0.0.1:${PORT}${process.argv[3]}`, (response) => response.pipe(process.stdout)).on(
    'error',
    (error) => {
      process.stderr.write(`${error.message}\n`)
      process.exitCode = 1
    },
  )
else serve()
