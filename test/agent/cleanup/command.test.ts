import t from 'tap'
import { main } from '../../../agent/cleanup/command.ts'

t.test('a wrong option is refused before anything is looked at', async (t) => {
  for (const [argv, message] of [
    [['--dryrun'], /Unknown argument: dryrun; see --help/],
    [['everything'], /Unknown argument: everything; see --help/],
    [['-o', 'yaml'], /Choices: "text", "json"/],
    [['-o', 'json', '-o', 'json'], /--output is given more than once/],
    [['--state-dir'], /Not enough arguments following: state-dir/],
    [['--state-dir', 'run'], /--state-dir "run" is not an absolute path/],
    [['--socket', ''], /--socket "" is not an absolute path/],
  ] as const)
    await t.rejects(main(argv, '1.2.3'), { code: 'OPTION', message }, argv.join(' '))
})

t.test('a folder of the system is refused: nothing in it can be ours', async (t) => {
  for (const argv of [
    ['--state-dir', '/'],
    ['--state-dir', '/run'],
    ['--state-dir', '/run/..'],
    ['--state-dir', '/proc/self'],
    ['--socket', '/agent.sock'],
  ])
    await t.rejects(main(['--dry-run', ...argv], '1.2.3'), {
      code: 'OPTION',
      message: /is a folder of the system; name the agent's own one, like \/run\/bramble$/,
    })
})
