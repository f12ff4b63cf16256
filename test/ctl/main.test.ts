import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { encodeAnswer } from '../../plugin/frame.ts'
import { agent, run, shortDir } from './tool.ts'

const IPAM = [{ cidr: '10.42.0.0/30', capacity: 3, used: 3, cooling: 0, free: 0 }]

t.test('a command prints a table, or with -o json the answer as it is', async (t) => {
  const socket = await agent(t, { ipam: IPAM })
  const [table, json, byVariable] = await Promise.all([
    run(['ipam', '--socket', socket]),
    run(['ipam', '--socket', socket, '-o', 'json']),
    run(['ipam', '--output=json'], { BRAMBLE_SOCKET: socket }),
  ])
  t.equal(table.exitCode, 0, table.stderr)
  t.match(table.stdout, /^POOL +ADDRESSES +USED +COOLING +FREE\n10\.42\.0\.0\/30 +3 +3 +0 +0 +100 % █{20}\n$/)
  t.same(JSON.parse(json.stdout), IPAM)
  t.same(JSON.parse(byVariable.stdout), IPAM)
})

t.test('a node that is well gives exit code 0, one with a problem 1', async (t) => {
  const status = (problems: string[]) => ({ nodeName: 'pi', podCidrs: [], memoryRssBytes: 0, problems })
  const well = await agent(t, { status: status([]), 'ipam check': [], pods: [] })
  const ill = await agent(t, { status: status(['full']), 'ipam check': ['link brm0 has no lease'] })
  const codes = async (socket: string, ...commands: string[]) => {
    const ends = await Promise.all(commands.map((words) => run([...words.split(' '), '--socket', socket])))
    return ends.map(({ exitCode }) => exitCode)
  }
  t.same(await codes(well, 'status', 'ipam check', 'pods'), [0, 0, 0])
  t.same(await codes(ill, 'status', 'ipam check'), [1, 1])
})

t.test('a refusal of the agent is one line on stderr and exit code 1', async (t) => {
  const socket = await agent(t, { pods: { error: 'this agent (0.9.0) does not know "pods"' } }, { exitCode: 1 })
  t.same(await run(['pods', '--socket', socket]), {
    exitCode: 1,
    stdout: '',
    stderr: 'bramblectl: this agent (0.9.0) does not know "pods"\n',
  })
})

t.test('an agent that is away is told with what to try', async (t) => {
  const dir = shortDir(t)
  writeFileSync(join(dir, 'no.sock'), '')
  for (const name of ['none.sock', 'no.sock']) {
    const socket = join(dir, name)
    t.same(await run(['status', '--socket', socket]), {
      exitCode: 1,
      stdout: '',
      stderr: `bramblectl: no agent listens on ${socket}; is it running? try: systemctl status bramble-agent, or kubectl -n kube-system get pods -o wide\n`,
    })
  }
})

t.test('a socket whose path no socket can have is told so', async (t) => {
  const socket = `/run/${'x'.repeat(120)}`
  const { exitCode, stderr } = await run(['status', '--socket', socket])
  t.equal(exitCode, 1)
  t.equal(stderr, `bramblectl: ${socket} is too long for a socket (107 bytes, unix(7)): name a shorter path\n`)
})

t.test('an answer that is cut or none of ours is told in one line', async (t) => {
  const whole = encodeAnswer({ exitCode: 0, body: Buffer.from('[]') })
  const cut = await agent(t, {
    pods: whole.subarray(0, -1),
    ipam: Buffer.alloc(0),
    status: Buffer.from('HTTP/1.1 400'),
  })
  const ends = await Promise.all(['pods', 'ipam', 'status'].map((command) => run([command, '--socket', cut])))
  for (const { exitCode, stdout, stderr } of ends) {
    t.equal(exitCode, 1)
    t.equal(stdout, '')
    t.match(stderr, /^bramblectl: [^\n]+\n$/)
  }
  t.match(ends[0]?.stderr, 'ended in the middle of its answer; see its log')
})

t.test('a wrong command line is one line that says what there is, and exit code 2', async (t) => {
  const commands =
    'status, status all, pods, ipam, ipam check, nodes, node manifest, node list, node remove, mtu, mtu probe, policy show, policy explain, policy preview, policy matrix, doctor, connectivity test, sysdump'
  const wrong: [string[], string][] = [
    [[], `no command; use one of: ${commands}`],
    [['stats'], `"stats" is no command; use one of: ${commands}`],
    [['ipam', 'chek'], `"ipam chek" is no command; use one of: ${commands}`],
    [['pods', '--wide'], 'Unknown argument: wide'],
    [
      ['pods', '-o', 'yaml'],
      'Invalid values: Argument: output, Given: "yaml", Choices: "table", "text", "json", "html"',
    ],
    [['pods', '-o', 'html'], 'pods prints no html; policy matrix does'],
    [['pods', '--flows'], 'pods has no --flows'],
    [['node', 'remove'], 'node remove needs NAME'],
    [['node', 'remove', 'pi-1', 'pi-2'], '"node remove pi-1 pi-2" has too many words: node remove NAME'],
    [['st\u001b[31m'], `"st\\u001b[31m" is no command; use one of: ${commands}`],
    [['pods', '--socket', '/a', '--socket', '/b'], '--socket is given more than once'],
    [['pods', '-o', 'json', '-o', 'table'], '--output is given more than once'],
    [['-o', 'json', 'sysdump'], 'options of sysdump stand behind it: bramblectl sysdump …'],
    [['sysdump', '--file', 'a', '--file', 'b'], '--file is given more than once'],
    [['connectivity', 'test', '--nodes', 'a'], 'Unknown argument: nodes'],
    [['pods', '--socket'], 'Not enough arguments following: socket'],
    [['pods', '--socket', ''], '--socket is empty: give it a value, or leave it out'],
    [['sysdump', '--file='], '--file is empty: give it a value, or leave it out'],
    [['connectivity', 'test', '--node', 'a', '--node', ''], '--node is empty: give it a value, or leave it out'],
  ]
  const ends = await Promise.all(wrong.map(([args]) => run(args)))
  for (const [index, [, message]] of wrong.entries())
    t.same(ends[index], { exitCode: 2, stdout: '', stderr: `bramblectl: ${message}\n` })
})

t.test('what a name has in it moves no cursor and begins no line', async (t) => {
  const hostile = 'a\u001b[2J\nb\u202ec\u009b'
  const status = { nodeName: hostile, podCidrs: [], memoryRssBytes: 0, problems: [hostile] }
  const socket = await agent(t, { status })
  const refusing = await agent(t, { status: { error: `no ${hostile}` } }, { exitCode: 1 })
  const [table, json, refusal] = await Promise.all([
    run(['status', '--socket', socket]),
    run(['status', '--socket', socket, '-o', 'json']),
    run(['status', '--socket', refusing]),
  ])
  const unwanted = /[^\P{C}\n]/u
  for (const text of [table.stdout, json.stdout, refusal.stderr]) t.notMatch(text, unwanted)
  t.match(table.stdout, 'a\\u001b[2J\\u000ab\\u202ec\\u009b\n')
  t.same(JSON.parse(json.stdout), status, 'JSON says the same')
})

t.test('--help behind a command tells what that one takes', async (t) => {
  const { exitCode, stdout } = await run(['policy', 'explain', '--help'])
  t.equal(exitCode, 0)
  t.match(stdout, /^bramblectl policy explain SRC DST\[:PORT\/PROTO\] \[options\]\n/)
  t.match(stdout, 'Exit codes: 0 allowed, 3 denied')
  t.match((await run(['node', 'remove', '--help'])).stdout, '--force')
  for (const own of ['sysdump', 'connectivity test', 'doctor'])
    t.match(await run([...own.split(' '), '--help']), { exitCode: 0, stdout: `bramblectl ${own}` })
})

t.test('--help shows every command and option, --version the version', async (t) => {
  const [help, version] = await Promise.all([run(['--help']), run(['--version'])])
  t.equal(help.exitCode, 0)
  for (const word of ['status', 'pods', 'ipam check', '--socket', '--output', 'BRAMBLE_SOCKET'])
    t.match(help.stdout, word)
  t.notMatch(help.stdout, 'connectivity serve', 'but for what pods of ours run')
  t.equal(version.exitCode, 0)
  t.match(version.stdout, /^\d+\.\d+\.\d+\n$/)
})
