import { type Cidr, overlaps, parseCidr } from '../../../ipam/address.ts'

/** @returns undefined where the text is none, or an address inside of one: what others write is no reason to fail */
function parsedCidr(text: string): Cidr | undefined {
  try {
    return parseCidr(text)
  } catch {
    return undefined
  }
}

export function doOverlap(a: string, b: string): boolean {
  const [one, other] = [parsedCidr(a), parsedCidr(b)]
  return one !== undefined && other !== undefined && overlaps(one, other)
}

/** Whether a rule names these addresses, or a network that they are in. */
export function isAbout(rule: string, cidr: string): boolean {
  const wanted = parsedCidr(cidr)
  const named = Array.from(rule.matchAll(/[0-9a-f:.]+\/\d{1,3}/g), ([text]) => parsedCidr(text))
  return named.some((one) => one && wanted && one.prefixLength <= wanted.prefixLength && overlaps(one, wanted))
}

/** Of what the agent says of two nodes with the same addresses (agent/nodes/overlap.ts): whose get none. Pure. */
export function sharedCidr(problem: string): { readonly cidr: string; readonly nodes: readonly string[] } | undefined {
  const [, cidr, ...nodes] =
    /^the pod CIDR (\S+) of (\S+) overlaps \S+?(?: of|, which are the pods of) ([^\s;]+); give /.exec(problem) ?? []
  return cidr === undefined ? undefined : { cidr, nodes }
}
