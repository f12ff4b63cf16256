/** Pure. The same order for the same seed. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const rest = [...items]
  let state = seed >>> 0 || 1
  const next = (below: number) => {
    // xorshift32 (Marsaglia, 2003)
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % below
  }
  for (let last = rest.length - 1; last > 0; last--) {
    const other = next(last + 1)
    const [a, b] = [rest[last] as T, rest[other] as T]
    rest[last] = b
    rest[other] = a
  }
  return rest
}
