import t from 'tap'
import { run } from '../tool.ts'

t.test('a wrong command line ends with exit code 2, a line that says why, and nothing looked at', async (t) => {
  for (const [args, words] of [
    [['doctor', '--yes'], '--yes goes with --fix: bramblectl doctor --fix --yes'],
    [['doctor', '--fix'], '--fix asks first, and there is no terminal to ask on: say --fix --yes'],
    [['doctor', 'now'], 'Unknown argument: now'],
    [['doctor', '-o', 'html'], 'Choices: "table", "text", "json"'],
    [['doctor', '--mend'], 'mend'],
    [['doctor', '--socket', 'a', '--socket', 'b'], '--socket is given more than once'],
    [['-o', 'json', 'doctor'], 'options of doctor stand behind it'],
  ] as const) {
    const { exitCode, stdout, stderr } = await run(args)
    t.equal(exitCode, 2, args.join(' '))
    t.equal(stdout, '')
    t.match(stderr, words)
    t.equal(stderr.trimEnd().split('\n').length, 1)
  }
})

t.test('--help says what it does, and touches nothing', async (t) => {
  const { exitCode, stdout } = await run(['doctor', '--help'])
  t.equal(exitCode, 0)
  t.match(stdout, /bramblectl doctor \[--fix \[--yes\]\]/)
  t.match(stdout, /Nothing is changed/)
  t.notMatch(stdout, '--root', 'what is for tests alone is not shown')
  t.match((await run(['--help'])).stdout, /\n {2}doctor +what is wrong with this node/)
})
