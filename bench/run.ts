import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { enterScratchNode } from '../test/kernel/scratch.ts'
import { acrossNodes } from './across-nodes.ts'
import { allocator } from './allocator.ts'
import { footprint } from './footprint.ts'
import { insideAgent } from './inside-agent.ts'
import { buildLab } from './lab.ts'
import { describeMachine } from './machine.ts'
import { manyNodes } from './many-nodes.ts'
import { oneNode } from './one-node.ts'
import { policedTraffic } from './policed-traffic.ts'
import { policies } from './policies.ts'
import { shimAlone } from './shim-alone.ts'
import { type Row, renderTable, valueRow } from './table.ts'
import { burstFloor, wholeProcess } from './whole-process.ts'

/*
 * `make bench`: everything in one run, on a scratch node, one table and one JSON file.
 *
 *     node bench/run.ts [--quick] [--dist DIR] [--json FILE]
 */
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
/** Above it, somebody else has a share in the figures. */
const BUSY_LOAD = 0.5

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    dist: { type: 'string', default: here('../dist') },
    json: { type: 'string', default: here('results.json') },
  },
})

const machine = describeMachine()
if (machine.loadBefore > BUSY_LOAD)
  process.stderr.write(`this machine is busy (load ${machine.loadBefore.toFixed(1)}): take the ratios as rough\n`)
await enterScratchNode()
const lab = await buildLab(options.dist, options.quick ? 1 : 7)
const rows: Row[] = []

const measurements: [string, () => Promise<Row[]>][] = [
  ['the allocator', async () => allocator()],
  ['whole processes, IPv4', () => wholeProcess(lab, 'IPv4')],
  ['whole processes, dual-stack', () => wholeProcess(lab, 'dual-stack')],
  ['the least any process costs', async () => [await burstFloor(lab)]],
  ['inside the agent', () => insideAgent(lab)],
  ['the shim alone', () => shimAlone(lab)],
  ['memory', () => footprint(lab)],
  ['many nodes, from cold', () => manyNodes(lab)],
  ['one node of many', () => oneNode(lab)],
  ['across nodes', () => acrossNodes(lab)],
  ['policies', () => policies(lab)],
  ['traffic through policies', () => policedTraffic(lab)],
]
for (const [name, measure] of measurements) {
  const startedMs = performance.now()
  process.stderr.write(`${name} …`)
  rows.push(...(await measure()))
  process.stderr.write(` ${((performance.now() - startedMs) / 1000).toFixed(0)} s\n`)
}
const written = lab.diskBytes.reduce((sum, bytes) => sum + bytes, 0)
rows.push(valueRow('bytes written to disks by all agents above', 'bytes', [written], 0))

process.stdout.write(`\n${renderTable(rows)}`)
const rounded = (_key: string, value: unknown) => (typeof value === 'number' ? Math.round(value * 1000) / 1000 : value)
writeFileSync(options.json, `${JSON.stringify({ machine, rows }, rounded, 2)}\n`)
