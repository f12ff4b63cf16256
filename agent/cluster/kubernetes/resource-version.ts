/** Versions of one cluster are numbers that grow, over all its objects (KEP-5504); what is none is taken for newer. */
export function isOlder(version: string, than: string): boolean {
  return /^\d+$/.test(version) && /^\d+$/.test(than) && BigInt(version) < BigInt(than)
}
