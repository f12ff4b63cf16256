import { fileURLToPath } from 'node:url'
import { capture, run } from './scratch.ts'

/** The built plugin, started as a container runtime starts it: CNI_* in the environment, the configuration on stdin. */
export const PLUGIN = fileURLToPath(new URL('../../dist/bin/bramble', import.meta.url))
const SHIM = fileURLToPath(new URL('../../plugin/shim.c', import.meta.url))
/** The plugins of others: Debian's containernetworking-plugins. */
const OTHER_PLUGINS = '/usr/lib/cni'

export interface Call {
  readonly containerId?: string
  readonly netns?: string
  readonly ifname?: string
  /** CNI_ARGS */
  readonly args?: string
  /** Further variables. */
  readonly env?: Readonly<Record<string, string>>
  /** What the configuration has besides cniVersion 1.1.0, name and type. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Another plugin than ours, by its type. */
  readonly type?: string
  /** Another build of ours, by its path. */
  readonly program?: string
}

export interface Reply {
  readonly exitCode: number
  /** What was printed, as JSON; undefined when nothing was. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it, and fail where it is not what they expect
  readonly json: any
  readonly stderr: string
}

/** Calls the plugin once. @throws Error when what it prints is not JSON */
export async function call(command: string, options: Call = {}): Promise<Reply> {
  const { containerId, netns, ifname = 'eth0', args, env = {}, config = {}, type, program = PLUGIN } = options
  const variables = {
    CNI_COMMAND: command,
    ...(containerId !== undefined && { CNI_CONTAINERID: containerId, CNI_IFNAME: ifname }),
    ...(netns !== undefined && { CNI_NETNS: netns }),
    ...(args !== undefined && { CNI_ARGS: args }),
    CNI_PATH: OTHER_PLUGINS,
    ...(type && { PATH: process.env.PATH }),
    ...env,
  }
  const { exitCode, stdout, stderr } = await capture(
    'env',
    [
      '-i',
      ...Object.entries(variables).map(([key, value]) => `${key}=${value}`),
      type ? `${OTHER_PLUGINS}/${type}` : program,
    ],
    JSON.stringify({ cniVersion: '1.1.0', name: 'bramble', type: type ?? 'bramble', ...config }),
  )
  return { exitCode, json: stdout === '' ? undefined : JSON.parse(stdout), stderr }
}

/** Builds the plugin with another second, so that its deadlines come earlier or later. @returns its path */
export async function buildPlugin(name: string, secondMs: number): Promise<string> {
  const path = `/run/${name}-bramble`
  await run('cc', `-DSECOND_MS=${secondMs}`, '-o', path, SHIM)
  return path
}
