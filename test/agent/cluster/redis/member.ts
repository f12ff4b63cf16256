import { pino } from 'pino'
import type { Test } from 'tap'
import type { ViewProblem } from '../../../../agent/cluster/problem.ts'
import { RedisSource, type RedisSourceInput } from '../../../../agent/cluster/redis/source.ts'
import type { ClusterNode, ViewChange } from '../../../../agent/cluster/view.ts'
import { type Cidr, parseCidr } from '../../../../ipam/address.ts'

/** A source as an agent has it, and all that it said. */
export class Member {
  readonly source: RedisSource
  readonly name: string
  readonly changes: ViewChange[] = []
  addresses: string[]
  problems: readonly ViewProblem[] = []
  nodes: ReadonlyMap<string, ClusterNode> = new Map()

  constructor(t: Test, url: string, name: string, settings: Partial<RedisSourceInput> & { address?: string } = {}) {
    const { address = '192.168.1.1', ...rest } = settings
    this.name = name
    this.addresses = [address]
    this.source = new RedisSource({
      url,
      nodeName: name,
      addresses: () => this.addresses,
      clusterCidrs: [parseCidr('10.42.0.0/16')],
      nodeMasks: { 4: 24, 6: 64 },
      instance: `boot-of-${name}-${address}`,
      log: pino({ level: 'silent' }),
      ...rest,
    })
    t.teardown(() => this.source.close())
  }

  /** One that has joined and has its first view. */
  static async start(
    t: Test,
    url: string,
    name: string,
    settings: Partial<RedisSourceInput> & { address?: string } = {},
  ): Promise<Member> {
    const member = new Member(t, url, name, settings)
    await member.join()
    member.listen()
    await until(`${name} has its first view`, () => member.nodes.has(name))
    return member
  }

  async join(): Promise<string[]> {
    const cidrs: readonly Cidr[] = await this.source.join((problems) => (this.problems = problems))
    return cidrs.map(({ text }) => text)
  }

  listen(): void {
    this.source.start((change) => {
      this.changes.push(change)
      this.problems = change.problems
      this.nodes = change.view?.nodes ?? this.nodes
    })
  }

  /** What each node has: `pi-1 10.42.0.0/24`. */
  get shown(): string[] {
    return [...this.nodes.values()]
      .map(({ name, podCidrs }) => [name, ...podCidrs.map(({ text }) => text)].join(' '))
      .sort()
  }

  get reasons(): string {
    return this.problems.map(({ object, reason }) => `${object}: ${reason}`).join('\n')
  }
}

export async function until(what: string, isTrue: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (!(await isTrue())) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
