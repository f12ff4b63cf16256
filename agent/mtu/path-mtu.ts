import type { EchoOutcome } from '../kernel/icmp.ts'

/** Sends one packet of this size, with its IP header, and tells what became of it. */
export type Echo = (packetBytes: number) => Promise<EchoOutcome>

export interface PathMtuBounds {
  /** The uplink's MTU: nothing larger leaves this node. */
  readonly mostBytes: number
  /** What every path must carry: 68 (RFC 791), 1280 (RFC 8200, section 5). */
  readonly leastBytes: number
  /** Asked before each packet, once the other end has answered. */
  readonly hasTime?: () => boolean
}

export type PathMtu =
  | {
      readonly bytes: number
      /** Larger packets vanish, and no router says so: TCP hangs instead of sending smaller ones. RFC 2923, section 2.1 */
      readonly isBlackhole: boolean
    }
  /** It could not be found out; for people, about the other end: "does not answer …". */
  | { readonly problem: string }

/** Wi-Fi loses packets: only what is lost so many times in a row is taken as too large. */
const TRIES = 3

/** Where paths end in practice: X.25, IPv6's least, mobile, WireGuard, VXLAN, IPIP, PPPoE, Ethernet, jumbo frames. */
const USUAL_BYTES = [576, 1280, 1380, 1400, 1420, 1430, 1450, 1480, 1492, 1500, 4000, 9000]

/** Finds the largest packet that gets to the other end, to the byte, by bisecting. Pure but for `echo`. */
export async function measurePathMtu(
  echo: Echo,
  { mostBytes, leastBytes, hasTime = () => true }: PathMtuBounds,
): Promise<PathMtu> {
  // Nearly always what leaves this node gets there, and one packet tells.
  const first = await echo(mostBytes)
  if (first === 'answered') return { bytes: mostBytes, isBlackhole: false }
  const least = await repeated(echo, leastBytes)
  if (least !== 'answered') return { problem: silence(first === 'unreachable' ? first : least, leastBytes) }
  let passes = leastBytes
  let fails = mostBytes
  let failure = first
  let next = first === 'lost' ? mostBytes : nextBytes(passes, fails)
  while (passes < next) {
    const outcome = await repeated(echo, next, hasTime)
    if (outcome === undefined)
      return { problem: `answers to ${passes} bytes; whether to up to ${fails} was not found out in time` }
    if (outcome === 'answered') passes = next
    else [fails, failure] = [next, outcome]
    next = nextBytes(passes, fails)
  }
  return { bytes: passes, isBlackhole: passes < mostBytes && failure === 'lost' }
}

/** @returns undefined when the time was over before it was sure */
async function repeated(echo: Echo, packetBytes: number, hasTime = () => true): Promise<EchoOutcome | undefined> {
  let failure: EchoOutcome = 'lost'
  for (let count = 0; count < TRIES; count++) {
    if (!hasTime()) return undefined
    const outcome = await echo(packetBytes)
    if (outcome === 'answered' || outcome === 'too-big') return outcome
    if (outcome === 'unreachable') failure = outcome // routers say it once, and then again after a while
  }
  return failure
}

/**
 * Bisects the usual sizes first, and from one that passes asks whether it is the one: a size that gets no answer costs
 * as much time as many that do.
 * @returns what to try between the two; `passes` itself when nothing is left
 */
function nextBytes(passes: number, fails: number): number {
  if (fails - passes <= 1) return passes
  const usual = USUAL_BYTES.filter((bytes) => passes < bytes && bytes < fails)
  const middle = usual[usual.length >> 1]
  if (middle !== undefined) return middle
  return USUAL_BYTES.includes(passes) ? passes + 1 : (passes + fails) >> 1
}

function silence(outcome: EchoOutcome | undefined, leastBytes: number): string {
  switch (outcome) {
    case 'unreachable':
      return 'is unreachable, says the network; is the node up, and is this its address?'
    case 'too-big':
      return `cannot get even ${leastBytes} bytes, the least that every path must carry; see the MTU of the links on the way`
    default:
      return 'does not answer echo requests; is the node up, and does a firewall drop ICMP?'
  }
}
