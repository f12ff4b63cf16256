import type { PolicyEnforcement } from '../enforcement/enforcement.ts'
import { listAddresses } from '../kernel/addresses.ts'
import { streamConntrack } from '../kernel/conntrack-stream.ts'
import { Netlink } from '../kernel/netlink.ts'
import { NETLINK_PROTOCOL } from '../kernel/netlink-socket.ts'
import type { PolicyInput } from '../policy/input.ts'
import type { PolicyAnswers, Preview } from './policy-answers.ts'
import { askedPort } from './policy-ends.ts'
import { explain } from './policy-explain.ts'
import { CutFlows } from './policy-flows.ts'
import { matrix } from './policy-matrix.ts'
import { type Change, changeBy, differences } from './policy-preview.ts'
import { show } from './policy-show.ts'

type Words = Readonly<Record<string, string>>

/** What `bramblectl policy` asks. @param body what is sent along */
export function policyAnswers(
  policies: PolicyEnforcement,
  words: Words,
  body: string,
): { [Call in keyof PolicyAnswers]: () => Promise<PolicyAnswers[Call]> | PolicyAnswers[Call] } {
  return {
    'policy show': async () => {
      const defined = policies.table?.counters ?? new Map()
      return show(known(policies), { defined, values: await policies.counters() }, policies.problems, words.POD)
    },
    'policy explain': async () => explain(await withOwnAddresses(known(policies)), words),
    'policy preview': async () => preview(await withOwnAddresses(known(policies)), body, words),
    'policy matrix': () => matrix(known(policies), words.NAMESPACE ?? '', askedPort(words)),
  }
}

/** @throws Error */
function known({ input }: PolicyEnforcement): PolicyInput {
  if (input) return input
  throw new Error('the cluster has not told all of its pods and policies yet; see: bramblectl status')
}

/** @throws KernelError */
async function withOwnAddresses(input: PolicyInput): Promise<PolicyInput> {
  const netlink = new Netlink()
  try {
    const addresses = await listAddresses(netlink)
    return { ...input, ownAddresses: new Set(addresses.map(({ address }) => address)) }
  } finally {
    netlink.close()
  }
}

async function preview(input: PolicyInput, body: string, { DELETE, FLOWS }: Words): Promise<Preview> {
  const objects: unknown = JSON.parse(body)
  if (!Array.isArray(objects)) throw new Error('policy preview needs a list of objects')
  const change = changeBy(objects, input, DELETE === '1')
  return {
    ...change.report,
    ...(await differences(change)),
    ...(FLOWS === '1' && { flows: await cutFlows(change) }),
  }
}

/** @throws KernelError */
async function cutFlows(change: Change): Promise<NonNullable<Preview['flows']>> {
  const netlink = new Netlink(NETLINK_PROTOCOL.netfilter)
  const flows = new CutFlows(change)
  try {
    await streamConntrack(netlink, (entry) => flows.take(entry))
  } finally {
    netlink.close()
  }
  return flows.report
}
