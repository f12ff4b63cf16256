/** The node's own folders are below /host in the agent's container; people look for them without it. Pure. */
export function onNode(path: string): string {
  return path.replace(/^\/host(?=\/)/, '')
}
