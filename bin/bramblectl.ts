#!/usr/bin/env node
import { version } from '../agent/version.ts'
import { watchOutput } from '../ctl/lost-output.ts'
import { main, UsageError } from '../ctl/main.ts'

watchOutput('bramblectl')
try {
  process.exitCode = await main(process.argv.slice(2), version())
} catch (error) {
  process.stderr.write(`bramblectl: ${(error as Error).message}\n`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
