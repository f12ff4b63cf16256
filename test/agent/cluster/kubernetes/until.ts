/** Waits for a condition, not for a time. @throws Error with the words when it does not come true */
export async function until(words: string, holds: () => boolean, timeoutMs = 20_000): Promise<void> {
  const endMs = performance.now() + timeoutMs
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`did not come true: ${words}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
