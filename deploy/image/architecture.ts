/** What a machine is called, by each of those whom the build asks. */
export interface Architecture {
  /** Go's and Debian's name, and so that of images. */
  readonly name: 'amd64' | 'arm64'
  /** Node's name, and so that of npm packages. */
  readonly node: 'x64' | 'arm64'
  /** Of the compiler and of Debian's folders with libraries. */
  readonly triplet: string
}

export const ARCHITECTURES: readonly Architecture[] = [
  { name: 'amd64', node: 'x64', triplet: 'x86_64-linux-gnu' },
  { name: 'arm64', node: 'arm64', triplet: 'aarch64-linux-gnu' },
]

/** @throws Error that lists those there are */
export function architectureOf(name: string): Architecture {
  const found = ARCHITECTURES.find((one) => one.name === name)
  if (found) return found
  throw new Error(
    `there is nothing for the architecture ${name}; there is ${ARCHITECTURES.map((a) => a.name).join(', ')}`,
  )
}
