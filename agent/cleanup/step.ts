/** Something of ours on the node. */
export interface Found {
  /** As people read it, and `ip` or `nft` would show it: `link brm0123456789ab (pod default/web)`. */
  readonly text: string
}

/** One kind of our objects: how they are found, and taken away. */
export interface Step<T extends Found = Found> {
  readonly name: string
  /** Ours only, in the order in which they can be removed. @throws Error when it cannot be told what there is */
  list(): Promise<T[]>
  /** Absent is success. @returns what went wrong, per object */
  remove(found: readonly T[]): Promise<(Error | undefined)[]>
}
