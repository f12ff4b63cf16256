import { type ChildProcess, execFileSync, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  type Answer,
  decodeRequest,
  encodeAnswer,
  encodeRequest,
  MAX_ANSWER_BYTES,
  MAX_BODY_BYTES,
  MAX_ENV_BYTES,
  type Request,
} from '../../plugin/frame.ts'

/*
 * The plugin as the runtime sees it: the real program, built here from shim.c, against an agent played by this file.
 * The tests run side by side. Where a deadline is waited for, mostly on a build whose second lasts 100 ms; where one must not
 * come, on the real one, for the machine may be busy. Those that need it for themselves, to be fast or to keep it busy, run
 * alone and come last.
 */
const SOURCE = join(import.meta.dirname, '../../plugin/shim.c')
/** What the Makefile builds with, too. */
const STRICT = [`@${join(import.meta.dirname, '../../plugin/cc-flags')}`]
const WARNINGS = ['-std=c99', '-Wall', '-Wextra', '-Wpedantic', '-Werror']
const ARM64_CC = '/usr/bin/aarch64-linux-gnu-gcc'
const ARM64_EMULATOR = '/usr/bin/qemu-aarch64-static'

const SUPPORTED = ['0.3.1', '0.4.0', '1.0.0', '1.1.0']
const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const
const POD = { CNI_CONTAINERID: 'c0ffee', CNI_IFNAME: 'eth0', CNI_NETNS: '/run/netns/c0ffee' }

const scratch = mkdtempSync(join(tmpdir(), 'bramble-'))
t.teardown(() => rmSync(scratch, { recursive: true }))
t.jobs = 24
const ALONE = { buffered: false }

const [bramble, quick, checked] = await Promise.all([
  build('bramble', 'cc', [...STRICT, '-DBRAMBLE_VERSION="1.2.3"']),
  build('quick', 'cc', [...STRICT, '-DSECOND_MS=100']),
  // Not static: the sanitizers need the dynamic loader.
  build('checked', 'cc', [
    ...WARNINGS,
    '-g',
    '-O1',
    '-DSECOND_MS=20',
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=all',
  ]),
])

// ---- the program itself

t.test('shim.c builds without a warning into one static, hardened program below 1 MB', async (t) => {
  t.equal(bramble.warnings, '')
  isStaticAndHardened(t, bramble.path)
})

t.test(
  'and so it does for arm64, where it runs',
  { skip: !existsSync(ARM64_CC) && 'no cross compiler here' },
  async (t) => {
    const arm64 = await build('arm64', ARM64_CC, STRICT)
    t.equal(arm64.warnings, '')
    isStaticAndHardened(t, arm64.path)
    if (!existsSync(ARM64_EMULATOR)) return
    const said = await run([ARM64_EMULATOR, arm64.path], { CNI_COMMAND: 'VERSION' })
    t.same(JSON.parse(said.stdout).supportedVersions, SUPPORTED)
  },
)

t.test('without CNI_COMMAND it says what it is on stderr and succeeds', async (t) => {
  for (const env of [{}, { CNI_COMMAND: '' }]) {
    const said = await run([bramble.path], env)
    t.match(said, { exitCode: 0, stdout: '' })
    t.equal(said.stderr, 'CNI plugin bramble 1.2.3, speaks CNI 0.3.1, 0.4.0, 1.0.0, 1.1.0\n')
  }
})

t.test('VERSION needs no agent and no end of stdin', async (t) => {
  const said = await run([bramble.path], { CNI_COMMAND: 'VERSION', BRAMBLE_SOCKET: '/nowhere' }, { stdin: 'open' })
  t.match(said, { exitCode: 0, stderr: '' })
  t.same(JSON.parse(said.stdout), { cniVersion: '1.1.0', supportedVersions: SUPPORTED })
})

t.test('an unknown command is code 4 and named, whatever it consists of', async (t) => {
  for (const command of ['add', 'UPDATE', '"\\\n\u0001\u007f', 'ü€', 'x'.repeat(100_000), '%s%n']) {
    const said = await run([bramble.path], { CNI_COMMAND: command })
    const { msg } = refusal(t, said, 4)
    t.match(msg, 'CNI_COMMAND')
    t.ok(msg.length < 200)
    if (/^\w+$/.test(command)) t.match(msg, command.slice(0, 64))
  }
})

t.test('a socket path that cannot be one is code 4', async (t) => {
  for (const socket of [`/${'x'.repeat(107)}`, 'agent.sock', `/${'x'.repeat(100_000)}`]) {
    const said = await run([bramble.path], { CNI_COMMAND: 'ADD', BRAMBLE_SOCKET: socket })
    t.match(refusal(t, said, 4).msg, 'BRAMBLE_SOCKET')
  }
})

// ---- the call and the answer

t.test('an answer may come one byte at a time', async (t) => {
  const body = Buffer.from('{"cniVersion":"1.1.0"}')
  const agent = await play(t, async (_request, socket) => {
    for (const byte of encodeAnswer({ exitCode: 0, body })) {
      socket.write(Buffer.of(byte))
      await sleep(1)
    }
    return undefined
  })
  t.match(await ask('ADD', agent.socket, { program: bramble.path }), { exitCode: 0, stdout: body.toString() })
})

t.test('an answer that comes before the request was read whole is the answer', async (t) => {
  const body = Buffer.from('{"code":6}')
  let plugin: ChildProcess | undefined
  const agent = await playRaw(t, (socket) => {
    socket.once('data', () => {
      // The plugin finds answer and closed connection in one moment, with most of its request still unsent.
      plugin?.kill('SIGSTOP')
      socket.pause().end(encodeAnswer({ exitCode: 1, body }), () => socket.destroy())
      socket.on('close', () => plugin?.kill('SIGCONT'))
    })
  })
  const stdin = Buffer.alloc(MAX_BODY_BYTES)
  const said = await ask('ADD', agent.socket, {
    stdin,
    program: bramble.path,
    started: (child) => void (plugin = child),
  })
  t.match(said, { exitCode: 1, stdout: body.toString() })
})

const header = (magic: string, exitCode: number, bodyBytes: number) => {
  const bytes = Buffer.alloc(12)
  bytes.write(magic)
  bytes.writeUInt32BE(exitCode, 4)
  bytes.writeUInt32BE(bodyBytes, 8)
  return bytes
}
const garbage = {
  'another magic': header('BRM2', 0, 0),
  'a web page': Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
  'a short word': Buffer.from('no'),
  'an exit code that would wrap to success': header('BRM1', 256, 0),
  'a body above 16 MiB': header('BRM1', 0, MAX_ANSWER_BYTES + 1),
  'a body of 4 GiB': header('BRM1', 0, 0xffff_ffff),
}
for (const [what, bytes] of Object.entries(garbage)) {
  t.test(`an answer that is ${what} is code 5, and a DEL still ends well`, async (t) => {
    const agent = await play(t, (_request, socket) => void socket.end(bytes))
    for (const command of ['ADD', 'CHECK', 'GC'])
      t.match(
        refusal(t, await ask(command, agent.socket, { program: bramble.path }), 5).details,
        'versions of plugin and agent',
      )
    t.match(await ask('DEL', agent.socket, { program: bramble.path }), {
      exitCode: 0,
      stdout: '',
      stderr: /tells the next one/,
    })
    t.same(notes(agent.socket), ['c0ffee:eth0'])
  })
}

// ---- what it is given

t.test('stdin of exactly 1 MiB passes, one byte more is code 6', async (t) => {
  const agent = await play(t, () => ({ exitCode: 0, body: Buffer.alloc(0) }))
  t.equal(
    (await ask('ADD', agent.socket, { stdin: Buffer.alloc(MAX_BODY_BYTES, 'x'), program: bramble.path })).exitCode,
    0,
  )
  t.equal(agent.requests[0]?.body.length, MAX_BODY_BYTES)
  const said = await ask('ADD', agent.socket, { stdin: Buffer.alloc(MAX_BODY_BYTES + 1, 'x'), program: bramble.path })
  t.match(refusal(t, said, 6).msg, String(MAX_BODY_BYTES))
  t.equal(agent.requests.length, 1)
})

t.test('200 KB of noise and an empty stdin reach the agent as they are', async (t) => {
  const agent = await play(t, () => ({ exitCode: 0, body: Buffer.alloc(0) }))
  const noise = Buffer.from(fc.sample(fc.uint8Array({ minLength: 200_000, maxLength: 200_000 }), 1)[0] ?? [])
  for (const stdin of [noise, '']) await ask('ADD', agent.socket, { stdin, program: bramble.path })
  t.ok(agent.requests[0]?.body.equals(noise))
  t.equal(agent.requests[1]?.body.length, 0)
})

t.test('an endless stdin is code 6', async (t) => {
  const said = await run([quick.path], { CNI_COMMAND: 'ADD' }, { stdio: [openFor(t, '/dev/zero'), 'pipe', 'pipe'] })
  refusal(t, said, 6)
})

t.test('a closed stdin and a directory as stdin are code 5', async (t) => {
  refusal(t, await run(['/bin/sh', '-c', 'exec "$0" <&-', quick.path], { CNI_COMMAND: 'ADD' }), 5)
  const said = await run([quick.path], { CNI_COMMAND: 'ADD' }, { stdio: [openFor(t, scratch), 'pipe', 'pipe'] })
  t.match(refusal(t, said, 5).msg, /^cannot read stdin: Is a directory/)
})

t.test('a stdin that never ends is code 5 at the deadline', async (t) => {
  for (const [command, deadlineMs] of [
    ['STATUS', 90],
    ['DEL', 2000],
  ] as const) {
    const said = await ask(command, '/nowhere/agent.sock', { stdin: 'open' })
    t.match(refusal(t, said, 5).msg, 'does not end')
    t.ok(said.tookMs >= deadlineMs)
  }
})

t.test('an environment of exactly 64 KiB passes, one byte more is code 4 and named', async (t) => {
  const agent = await play(t, () => ({ exitCode: 0, body: Buffer.alloc(0) }))
  const env = { CNI_COMMAND: 'ADD', CNI_ARGS: '' }
  const used = encodeRequest({ kind: 'cni', env, body: Buffer.alloc(0) }).length - 16
  const filled = { ...env, CNI_ARGS: 'x'.repeat(MAX_ENV_BYTES - used), BRAMBLE_SOCKET: agent.socket }
  t.equal((await run([bramble.path], filled)).exitCode, 0)
  t.same({ ...agent.requests[0]?.env }, { CNI_COMMAND: 'ADD', CNI_ARGS: filled.CNI_ARGS })
  t.match(refusal(t, await run([bramble.path], { ...filled, CNI_ARGS: `${filled.CNI_ARGS}x` }), 4).msg, 'CNI_ARGS')
  t.equal(agent.requests.length, 1)
})

t.test('a huge variable, a huge name and thousands of variables are code 4', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 9000 }, (_, number) => [`CNI_${number}`, 'x']))
  for (const huge of [{ CNI_ARGS: 'x'.repeat(120_000) }, { [`CNI_${'X'.repeat(120_000)}`]: 'x' }, many]) {
    const { msg } = refusal(t, await run([quick.path], { CNI_COMMAND: 'ADD', ...huge }), 4)
    t.match(msg, /CNI_\w+ is too long/)
    t.ok(msg.length < 200)
  }
})

t.test('of a variable set twice the agent sees what the plugin saw, and of one without a value nothing', async (t) => {
  const agent = await play(t, () => ({ exitCode: 0, body: Buffer.alloc(0) }))
  const source = join(scratch, 'twice.c')
  writeFileSync(
    source,
    `#include <unistd.h>
     int main(int argc, char **argv) {
       char *env[] = { "CNI_COMMAND=ADD", "CNI_IFNAME=eth0", "CNI_IFNAME=eth1", "CNI_ODD", argv[2], 0 };
       return argc == 3 ? execve(argv[1], argv + 1, env) : 1;
     }`,
  )
  execFileSync('cc', ['-o', join(scratch, 'twice'), source])
  await run([join(scratch, 'twice'), bramble.path, `BRAMBLE_SOCKET=${agent.socket}`], {})
  t.same({ ...agent.requests[0]?.env }, { CNI_COMMAND: 'ADD', CNI_IFNAME: 'eth0' })
})

t.test('a closed, a full and a deserted stdout are exit 1', async (t) => {
  const agent = await play(t, () => ({ exitCode: 0, body: Buffer.alloc(500_000, 'x') }))
  const env = { CNI_COMMAND: 'ADD', BRAMBLE_SOCKET: agent.socket }
  t.equal((await run(['/bin/sh', '-c', 'exec "$0" >&-', quick.path], env)).exitCode, 1)
  t.equal((await run(['/bin/sh', '-c', 'exec "$0" >/dev/full', quick.path], env)).exitCode, 1)
  // A pipe whose reader leaves, and one whose reader stays and does not read.
  for (const reader of ['true', 'sleep 9']) {
    const pipe = `{ timeout -s KILL 8 "$0"; echo "exit $?" >&2; } | ${reader}`
    const said = await run(['/bin/sh', '-c', pipe, quick.path], { ...env, PATH: '/usr/bin:/bin' })
    t.equal(said.stderr, 'exit 1\n')
  }
  t.equal(agent.requests.length, 4)
  t.same(agent.strays, [], 'nothing but requests went to the agent')
})

t.test('with every standard stream closed it still does its work', async (t) => {
  const agent = await play(t, () => ({ exitCode: 0, body: Buffer.alloc(0) }))
  const env = { ...POD, CNI_COMMAND: 'DEL', BRAMBLE_SOCKET: agent.socket }
  const said = await run(['/bin/sh', '-c', 'exec "$0" </dev/null >&- 2>&-', bramble.path], env)
  t.equal(said.exitCode, 0)
  t.equal((await run(['/bin/sh', '-c', 'exec "$0" <&- >&- 2>&-', bramble.path], env)).exitCode, 1, 'no stdin: code 5')
  t.equal(agent.requests.length, 1)
})

// ---- an agent that is away, leaves, or hangs

t.test('ADD, CHECK and GC wait ten seconds for an agent, then say so with code 11', async (t) => {
  const socket = join(freshFolder(), 'agent.sock')
  const calls = ['ADD', 'CHECK', 'GC'].map((command) => ask(command, socket, { program: bramble.path }))
  for (const said of await Promise.all(calls)) {
    const { msg, details } = refusal(t, said, 11)
    t.equal(msg, `the bramble agent does not answer on ${socket}: No such file or directory`)
    t.equal(
      details,
      'is bramble-agent running? try: systemctl status bramble-agent, or kubectl -n kube-system get pods -o wide',
    )
    t.ok(said.tookMs >= 9_900 && said.tookMs < 15_000, `${said.tookMs} ms`)
  }
})

t.test('DEL leaves a note and succeeds after three seconds when no agent is there', async (t) => {
  const folder = join(freshFolder(), 'run')
  const socket = join(folder, 'agent.sock')
  const said = await ask('DEL', socket, { program: bramble.path })
  t.match(said, { exitCode: 0, stdout: '' })
  t.equal(
    said.stderr,
    `bramble: DEL c0ffee:eth0: no answer from the agent on ${socket}; ${folder}/pending/c0ffee:eth0 tells the next one\n`,
  )
  t.ok(said.tookMs >= 2_900 && said.tookMs < 8_000, `${said.tookMs} ms`)
  const note = statSync(join(folder, 'pending', 'c0ffee:eth0'))
  t.equal(note.size, 0)
  t.equal(note.mode & 0o7777, 0o600)
  for (const made of [folder, join(folder, 'pending')]) t.equal(statSync(made).mode & 0o7777, 0o700)
})

t.test('a second DEL, whose note is there already, does not wait again', async (t) => {
  const socket = join(freshFolder(), 'agent.sock')
  await ask('DEL', socket)
  const said = await promptest(2_000, () => ask('DEL', socket, { program: bramble.path }))
  t.match(said, { exitCode: 0, stdout: '' })
  t.ok(said.tookMs < 2_000, `${said.tookMs} ms`)
})

t.test('an agent that comes within the wait gets the call', async (t) => {
  for (const command of ['ADD', 'CHECK', 'GC', 'DEL']) {
    const socket = join(freshFolder(), 'agent.sock')
    const said = ask(command, socket, { program: bramble.path })
    await sleep(200)
    const agent = await play(t, () => ({ exitCode: 0, body: Buffer.from(command) }), socket)
    t.match(await said, { exitCode: 0, stdout: command })
    t.equal(agent.requests.length, 1)
  }
})

t.test('an agent whose line is full is waited for', async (t) => {
  const socket = join(freshFolder(), 'agent.sock')
  const answer = encodeAnswer({ exitCode: 0, body: Buffer.from('late') }).toString('base64')
  const listen = `require('node:net').createServer((socket) => {
    socket.on('error', () => {}).once('data', () => socket.end(Buffer.from('${answer}', 'base64')))
  }).listen({ path: '${socket}', backlog: 1 }, () => console.log('listening'))`
  const agent = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => agent.kill('SIGKILL'))
  if (agent.stdout) await once(agent.stdout, 'data')
  agent.kill('SIGSTOP')
  const line = Array.from({ length: 4 }, () => ask('STATUS', socket, { program: bramble.path }))
  for (const one of await Promise.all(line)) refusal(t, one, 50) // the first two stay in line
  const said = ask('ADD', socket, { program: bramble.path })
  t.match(refusal(t, await ask('CHECK', socket), 11).msg, 'Resource temporarily unavailable')
  agent.kill('SIGCONT')
  t.match(await said, { exitCode: 0, stdout: 'late' })
})

t.test('a socket that is there with nobody behind it counts as away', async (t) => {
  const socket = join(freshFolder(), 'agent.sock')
  const listen = `require('node:net').createServer().listen('${socket}', () => process.kill(process.pid, 'SIGKILL'))`
  await run([process.execPath, '-e', listen], {})
  const said = await ask('ADD', socket)
  t.match(refusal(t, said, 11).msg, 'Connection refused')
  t.ok(said.tookMs >= 900)
})

t.test('a socket path through a file is refused without a wait', async (t) => {
  const said = await ask('ADD', join(quick.path, 'agent.sock'), { program: bramble.path })
  t.match(refusal(t, said, 11).msg, 'Not a directory')
  t.ok(said.tookMs < 8_000)
})

t.test('an ADD the agent took and lost is not repeated', async (t) => {
  const agent = await play(t, (_request, socket) => void socket.destroy())
  const said = await ask('ADD', agent.socket, { program: bramble.path })
  const { msg, details } = refusal(t, said, 11)
  t.equal(msg, 'the bramble agent stopped while it worked on this ADD')
  t.match(details, 'delete and try again')
  t.equal(agent.requests.length, 1)
  t.ok(said.tookMs < 8_000)
})

t.test('an ADD whose answer breaks off is not repeated', async (t) => {
  const whole = encodeAnswer({ exitCode: 0, body: Buffer.from('{"ips":[]}') })
  for (const cut of [1, 4, 11, 12, whole.length - 1]) {
    const agent = await play(t, (_request, socket) => void socket.end(whole.subarray(0, cut)))
    refusal(t, await ask('ADD', agent.socket, { program: bramble.path }), 11)
    t.equal(agent.requests.length, 1)
  }
})

t.test('an ADD the agent left unread is repeated: nobody can have worked on it', async (t) => {
  for (const stdin of [Buffer.from('{}'), Buffer.alloc(MAX_BODY_BYTES)]) {
    let connections = 0
    const agent = await play(
      t,
      () => ({ exitCode: 0, body: Buffer.from('second') }),
      undefined,
      (socket) => ++connections === 1 && void socket.destroy(),
    )
    t.match(await ask('ADD', agent.socket, { stdin, program: bramble.path }), { exitCode: 0, stdout: 'second' })
    t.equal(connections, 2)
  }
})

t.test('an agent that takes the call and hangs is given up at the deadline', async (t) => {
  const agent = await play(t, () => undefined)
  const calls = ['ADD', 'CHECK', 'GC'].map((command) => ask(command, agent.socket))
  for (const said of await Promise.all(calls)) {
    t.match(refusal(t, said, 11).msg, /took the \w+ and did not answer within 6 s/)
    t.ok(said.tookMs >= 5_900 && said.tookMs < 12_000, `${said.tookMs} ms`)
  }
  t.equal(agent.requests.length, 3)
})

t.test('a DEL whose agent hangs leaves its note and succeeds', async (t) => {
  const agent = await play(t, () => undefined)
  const said = await ask('DEL', agent.socket)
  t.match(said, { exitCode: 0, stdout: '', stderr: /tells the next one/ })
  t.ok(said.tookMs >= 2_200 && said.tookMs < 8_000, `${said.tookMs} ms`)
  t.same(notes(agent.socket), ['c0ffee:eth0'])
})

t.test('being stopped and continued changes nothing', async (t) => {
  const agent = await play(t, async () => {
    await sleep(300)
    return { exitCode: 0, body: Buffer.from('done') }
  })
  const stutter = async (child: ChildProcess) => {
    for (let i = 0; i < 4; i++) {
      await sleep(50)
      child.kill(i % 2 === 0 ? 'SIGSTOP' : 'SIGCONT')
    }
  }
  t.match(await ask('ADD', agent.socket, { program: bramble.path, started: stutter }), { exitCode: 0, stdout: 'done' })
})

// ---- the note

t.test('a DEL with an invalid container id or ifname is code 4, and leaves no note', async (t) => {
  const wrong: [string | undefined, string | undefined][] = [
    ...[
      undefined,
      '',
      '.',
      '..',
      '.hidden',
      '-x',
      '_x',
      'a/b',
      '../../etc',
      'a:b',
      'a b',
      'ä',
      'a\n',
      'x'.repeat(129),
    ].map((id): [string | undefined, string] => [id, 'eth0']),
    ...[undefined, '', '.', '..', 'a/b', 'a:b', 'a b', 'a\tb', 'a\u0001', 'a\u007f', 'x'.repeat(16)].map(
      (ifname): [string, string | undefined] => ['c0ffee', ifname],
    ),
  ]
  const socket = join(freshFolder(), 'agent.sock')
  for (const [id, ifname] of wrong) {
    const env: Record<string, string> = { CNI_COMMAND: 'DEL', BRAMBLE_SOCKET: socket }
    if (id !== undefined) env.CNI_CONTAINERID = id
    if (ifname !== undefined) env.CNI_IFNAME = ifname
    const { msg } = refusal(t, await run([quick.path], env), 4)
    t.equal(msg, `${ifname === 'eth0' ? 'CNI_CONTAINERID' : 'CNI_IFNAME'} missing or invalid`)
  }
  const both = await run([quick.path], { CNI_COMMAND: 'DEL', BRAMBLE_SOCKET: socket })
  t.equal(refusal(t, both, 4).msg, 'CNI_CONTAINERID and CNI_IFNAME missing or invalid')
  t.notOk(existsSync(join(socket, '../pending')))
})

t.test('the longest and the oddest valid names make a note', async (t) => {
  const socket = join(freshFolder(), 'agent.sock')
  const names = [
    ['x'.repeat(128), 'y'.repeat(15)],
    ['0', '-'],
    ['A_.-', 'ä%d\\"'],
    ['c0ffee', 'eth0'],
  ] as const
  for (const [id, ifname] of names)
    t.equal((await ask('DEL', socket, { env: { CNI_CONTAINERID: id, CNI_IFNAME: ifname } })).exitCode, 0)
  t.same(notes(socket), names.map(([id, ifname]) => `${id}:${ifname}`).sort())
})

t.test('two DELs of one attachment leave one note, and two attachments two', async (t) => {
  const socket = join(freshFolder(), 'agent.sock')
  const calls = ['eth0', 'eth0', 'eth1'].map((ifname) => ask('DEL', socket, { env: { CNI_IFNAME: ifname } }))
  for (const said of await Promise.all(calls)) t.equal(said.exitCode, 0)
  t.equal((await ask('DEL', socket)).exitCode, 0)
  t.same(notes(socket), ['c0ffee:eth0', 'c0ffee:eth1'])
})

t.test('where no note can be left a DEL still ends well, and says so', async (t) => {
  const file = freshFolder()
  writeFileSync(join(file, 'pending'), 'a file')
  const link = freshFolder()
  mkdirSync(join(link, 'elsewhere'))
  symlinkSync('elsewhere', join(link, 'pending'))
  for (const folder of [file, link, '/proc/nowhere', '/nowhere/at/all']) {
    const said = await ask('DEL', join(folder, 'agent.sock'))
    t.match(said, {
      exitCode: 0,
      stdout: '',
      stderr: /no note left in .*pending: .*; the agent will find what remains/,
    })
  }
  t.same(readdirSync(join(link, 'elsewhere')), [], 'a link is not followed')
})

// ---- alone

t.test('each command carries CNI_* and stdin to the agent, and its answer and exit code back', ALONE, async (t) => {
  const stdin = Buffer.from('{"name":"pods","a":"\0\u00ff"}')
  for (const [exitCode, command] of COMMANDS.entries()) {
    const body = Buffer.from(`{"answer":"${command}"}`)
    const agent = await play(t, () => ({ exitCode, body }))
    const env = { ...POD, CNI_COMMAND: command, CNI_ARGS: 'K8S_POD_NAME=blåbär;IgnoreUnknown=1', CNI_EMPTY: '' }
    const said = await run([bramble.path], { ...env, PATH: '/bin', BRAMBLE_SOCKET: agent.socket }, { stdin })
    t.match(said, { exitCode, stdout: body.toString(), stderr: '' })
    t.equal(agent.requests.length, 1)
    t.equal(agent.requests[0]?.kind, 'cni')
    t.same({ ...agent.requests[0]?.env }, env)
    t.same(agent.requests[0]?.body, stdin)
  }
})

t.test('STATUS answers code 50 within one second, be the agent away or stuck', ALONE, async (t) => {
  const stuck = await playRaw(t, () => {})
  for (const socket of [join(freshFolder(), 'agent.sock'), stuck.socket]) {
    const said = await promptest(1_000, () => ask('STATUS', socket, { program: bramble.path }))
    refusal(t, said, 50)
    t.ok(said.tookMs < 1_000, `${said.tookMs} ms`)
  }
})

t.test('DEL, CHECK, GC and STATUS are repeated when the agent took them and was lost', ALONE, async (t) => {
  for (const command of ['DEL', 'CHECK', 'GC', 'STATUS']) {
    const agent = await play(t, (_request, socket) => {
      if (agent.requests.length > 1) return { exitCode: 0, body: Buffer.from(command) }
      socket.end('BRM1\0\0') // and an answer that breaks off is no answer
      return undefined
    })
    t.match(await ask(command, agent.socket, { program: bramble.path }), { exitCode: 0, stdout: command })
    t.equal(agent.requests.length, 2)
  }
})

t.test('a DEL takes its note back when an agent does the work by then', ALONE, async (t) => {
  let wasThere = false
  const agent = await play(t, (_request, socket) => {
    if ((wasThere = notes(agent.socket).length === 1)) return { exitCode: 0, body: Buffer.alloc(0) }
    socket.destroy()
    return undefined
  })
  t.match(await ask('DEL', agent.socket), { exitCode: 0, stdout: '', stderr: '' })
  t.ok(wasThere)
  t.same(notes(agent.socket), [])
})

t.test('what that agent refuses is told to the caller, who will come again, and no note is kept', ALONE, async (t) => {
  const agent = await play(t, (_request, socket) => {
    if (notes(agent.socket).length === 1) return { exitCode: 1, body: Buffer.from('{"code":100}') }
    socket.destroy()
    return undefined
  })
  t.match(await ask('DEL', agent.socket), { exitCode: 1, stdout: '{"code":100}', stderr: '' })
  t.same(notes(agent.socket), [])
})

t.test('the folder takes 4096 notes and not one more; a DEL still ends well', ALONE, async (t) => {
  const folder = freshFolder()
  mkdirSync(join(folder, 'pending'))
  for (let i = 0; i < 4095; i++) writeFileSync(join(folder, 'pending', `c${i}:eth0`), '')
  const socket = join(folder, 'agent.sock')
  t.match(await ask('DEL', socket), { exitCode: 0, stderr: /tells the next one/ })
  t.match(await ask('DEL', socket, { env: { CNI_IFNAME: 'eth1' } }), {
    exitCode: 0,
    stdout: '',
    stderr: /no note left.*full/,
  })
  t.match(await ask('DEL', socket), { exitCode: 0, stderr: /tells the next one/ }, 'one that is there already is fine')
  t.equal(notes(socket).length, 4096)
})

t.test('an answer of 16 MiB passes whole', ALONE, async (t) => {
  const body = Buffer.alloc(MAX_ANSWER_BYTES, 'x')
  const agent = await play(t, () => ({ exitCode: 0, body }))
  const said = await run([bramble.path], { CNI_COMMAND: 'ADD', BRAMBLE_SOCKET: agent.socket })
  t.equal(said.exitCode, 0)
  t.ok(said.bytes.equals(body))
})

t.test('a hundred calls at once each get their own answer', ALONE, async (t) => {
  const agent = await play(t, (request) => ({ exitCode: 0, body: Buffer.from(request.env.CNI_CONTAINERID ?? '') }))
  const ids = Array.from({ length: 100 }, (_, number) => `container-${number}`)
  const said = await Promise.all(
    ids.map((id) =>
      run([bramble.path], { ...POD, CNI_COMMAND: 'ADD', CNI_CONTAINERID: id, BRAMBLE_SOCKET: agent.socket }),
    ),
  )
  t.same(
    said.map((one) => one.stdout),
    ids,
  )
})

t.test('shim.c and frame.ts speak the same frame, whatever it holds', ALONE, async () => {
  const text = fc.string({ unit: 'binary', maxLength: 60 }).map((any) => any.replaceAll('\0', ''))
  const key = fc.stringMatching(/^CNI_[A-Z]{0,8}$/).filter((name) => name !== 'CNI_COMMAND')
  const bytes = fc.uint8Array({ maxLength: 4000 }).map((array) => Buffer.from(array))
  await fc.assert(
    fc.asyncProperty(fc.dictionary(key, text), bytes, fc.nat(255), bytes, async (extra, stdin, exitCode, body) => {
      const agent = await play(t, () => ({ exitCode, body }))
      const env = { CNI_COMMAND: 'ADD', ...extra }
      const said = await run([bramble.path], { ...env, BRAMBLE_SOCKET: agent.socket }, { stdin })
      const [request] = agent.requests
      agent.stop()
      return (
        said.exitCode === exitCode &&
        said.bytes.equals(body) &&
        request?.body.equals(stdin) &&
        JSON.stringify(sorted(request.env)) === JSON.stringify(sorted(env))
      )
    }),
    { numRuns: 60 },
  )
})

t.test('nothing it is given crashes it or keeps it, say the sanitizers', ALONE, async (t) => {
  const bytes = fc.uint8Array({ maxLength: 3000, size: 'max' }).map((array) => Buffer.from(array))
  const said = fc.record({ exitCode: fc.nat(255), body: bytes }).map(encodeAnswer)
  const odd = fc
    .tuple(said, fc.nat(11), fc.nat(255))
    .map(([whole, at, byte]) => Buffer.concat([whole.subarray(0, at), Buffer.of(byte), whole.subarray(at + 1)]))
  const behaviour = fc.record({
    bytes: fc.oneof(said, odd, bytes),
    cut: fc.option(fc.nat(40), { nil: undefined }),
    pieceBytes: fc.integer({ min: 1, max: 5000 }),
    readsFirst: fc.boolean(),
    hangs: fc.nat(30).map((number) => number === 0),
  })
  const text = fc.string({ unit: 'binary', maxLength: 200 }).map((any) => any.replaceAll('\0', ''))
  const env = fc.record(
    {
      CNI_COMMAND: fc.oneof(
        { weight: 9, arbitrary: fc.constantFrom(...COMMANDS, 'VERSION') },
        { weight: 1, arbitrary: text },
      ),
      CNI_CONTAINERID: fc.oneof(fc.constant('c0ffee'), text),
      CNI_IFNAME: fc.oneof(fc.constant('eth0'), text),
      CNI_ARGS: fc.oneof(
        text,
        fc.nat(70_000).map((length) => 'a'.repeat(length)),
      ),
    },
    { requiredKeys: [] },
  )
  const stdin = fc.oneof(
    bytes,
    fc.nat(1_100_000).map((length) => Buffer.alloc(length, '{')),
  )

  const property = fc.asyncProperty(env, stdin, behaviour, async (env, stdin, behaviour) => {
    const agent = await playRaw(t, async (socket) => {
      if (behaviour.readsFirst) await once(socket, 'data').catch(() => {})
      const bytes = behaviour.bytes.subarray(0, behaviour.cut)
      for (let at = 0; at < bytes.length; at += behaviour.pieceBytes)
        socket.write(bytes.subarray(at, at + behaviour.pieceBytes))
      if (!behaviour.hangs) socket.end(() => socket.destroy())
    })
    const outcome = await run(
      [checked.path],
      {
        ...env,
        BRAMBLE_SOCKET: agent.socket,
        ASAN_OPTIONS: 'detect_leaks=0', // a process of a millisecond frees nothing
      },
      { stdin },
    )
    agent.stop()
    const report = /Sanitizer|runtime error|ended by/.exec(outcome.stderr)
    if (report) throw new Error(outcome.stderr)
    if (outcome.stdout.length > 16_384) throw new Error(`${outcome.stdout.length} bytes on stdout`)
    if (outcome.tookMs > 20_000) throw new Error(`took ${outcome.tookMs} ms`)
  })
  const seeds = [1, 2, 3, 4].map((seed) => fc.assert(property, { numRuns: 50, seed, endOnFailure: true }))
  t.equal((await Promise.all(seeds)).length, 4)
})

// ---- the parts on this side

interface Built {
  readonly path: string
  readonly warnings: string
}

async function build(name: string, cc: string, flags: readonly string[]): Promise<Built> {
  const path = join(scratch, name)
  const said = await run([cc, ...flags, '-o', path, SOURCE], { PATH: process.env.PATH ?? '/usr/bin:/bin' })
  if (said.exitCode !== 0) throw new Error(said.stderr)
  return { path, warnings: said.stderr }
}

function isStaticAndHardened(t: Test, program: string): void {
  t.ok(statSync(program).size < 1_000_000, `${statSync(program).size} bytes`)
  const elf = execFileSync('readelf', ['-Wlhd', program], { encoding: 'utf8' })
  t.match(elf, /Type:\s+DYN/, 'runs at any address')
  t.notMatch(elf, /INTERP|NEEDED/, 'static')
  t.match(elf, 'GNU_RELRO')
  t.match(elf, /BIND_NOW|Flags:.* NOW/)
  t.notMatch(elf, /GNU_STACK.*RWE/)
}

interface Said {
  readonly exitCode: number
  readonly stdout: string
  readonly bytes: Buffer
  readonly stderr: string
  readonly tookMs: number
}

interface RunOptions {
  /** 'open' never ends; without it stdin is /dev/null. */
  readonly stdin?: string | Buffer | 'open'
  readonly stdio?: StdioOptions
  readonly started?: (child: ChildProcess) => void
}

/** Runs a program with this environment and nothing else, and tells all that came of it; after 30 s it is killed. */
function run(argv: readonly string[], env: Readonly<Record<string, string>>, options: RunOptions = {}): Promise<Said> {
  const [program = '', ...args] = argv
  const stdio = options.stdio ?? [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe']
  return new Promise((resolve, reject) => {
    const startedMs = performance.now()
    const child = spawn(program, args, { env, stdio, timeout: 30_000, killSignal: 'SIGKILL' })
    const out: Buffer[] = []
    let stderr = ''
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (signal) stderr += `ended by ${signal}`
      const bytes = Buffer.concat(out)
      resolve({ exitCode: code ?? 128, stdout: bytes.toString(), bytes, stderr, tookMs: performance.now() - startedMs })
    })
    child.stdin?.on('error', () => {}) // the program may end without reading it
    if (options.stdin !== 'open') child.stdin?.end(options.stdin)
    options.started?.(child)
  })
}

interface AskOptions extends RunOptions {
  readonly program?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Calls the plugin for one pod; unless said otherwise the quick one. */
function ask(
  command: string,
  socket: string,
  { program = quick.path, env, ...options }: AskOptions = {},
): Promise<Said> {
  return run([program], { ...POD, ...env, CNI_COMMAND: command, BRAMBLE_SOCKET: socket }, options)
}

/** Others may keep the machine busy: of ten calls, the first that takes no longer than it should, or the last. */
async function promptest(withinMs: number, call: () => Promise<Said>): Promise<Said> {
  let said = await call()
  for (let again = 1; again < 10 && said.tookMs >= withinMs; again++) said = await call()
  return said
}

/** One JSON document on stdout with this code, nothing on stderr, exit 1. */
function refusal(t: Test, said: Said, code: number): { msg: string; details: string } {
  t.match(said, { exitCode: 1, stderr: '' })
  const error = JSON.parse(said.stdout)
  t.match(error, { cniVersion: '1.1.0', code, msg: /./, details: /./ })
  t.same(Object.keys(error), ['cniVersion', 'code', 'msg', 'details'])
  return error
}

interface Played {
  readonly socket: string
  readonly requests: readonly Request[]
  /** What came behind the end of a request. */
  readonly strays: readonly Buffer[]
  stop(): void
}

type Maybe<T> = T | undefined
type Answering = (request: Request, socket: Socket) => Maybe<Answer> | Promise<Maybe<Answer>>

/** An agent that reads whole requests and answers them, or does with the connection what it likes. */
async function play(
  t: Test,
  answering: Answering,
  path?: string,
  onConnection?: (socket: Socket) => unknown,
): Promise<Played> {
  const requests: Request[] = []
  const strays: Buffer[] = []
  const raw = await playRaw(
    t,
    (socket) => {
      onConnection?.(socket)
      let arrived = Buffer.alloc(0)
      let taken = false
      socket.on('data', async (chunk: Buffer) => {
        if (taken) strays.push(chunk)
        if (taken) return
        arrived = Buffer.concat([arrived, chunk])
        const request = decodeRequest(arrived)
        if (request === undefined) return
        taken = true
        requests.push(request)
        const answer = await answering(request, socket)
        if (answer) socket.end(encodeAnswer(answer))
      })
    },
    path,
  )
  return { ...raw, requests, strays }
}

async function playRaw(
  t: Test,
  onConnection: (socket: Socket) => unknown,
  path = join(freshFolder(), 'agent.sock'),
): Promise<{ socket: string; stop(): void }> {
  const open = new Set<Socket>()
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket)).on('error', () => {})
    onConnection(socket)
    if (socket.listenerCount('data') > 0) socket.resume()
  })
  server.listen(path)
  await once(server, 'listening')
  const stop = () => {
    server.close()
    for (const socket of open) socket.destroy()
  }
  t.teardown(stop)
  return { socket: path, stop }
}

function freshFolder(): string {
  return mkdtempSync(join(scratch, 'run-'))
}

function notes(socket: string): string[] {
  const folder = join(socket, '../pending')
  return existsSync(folder) ? readdirSync(folder).sort() : []
}

function openFor(t: Test, path: string): number {
  const fd = openSync(path, 'r')
  t.teardown(() => closeSync(fd))
  return fd
}

function sorted(env: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))
}
