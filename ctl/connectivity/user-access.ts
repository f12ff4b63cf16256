import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ApiAccess } from '../../agent/cluster/kubernetes/access.ts'
import { parseKubeconfig } from '../../agent/cluster/kubernetes/kubeconfig.ts'
import { parseOne } from '../../agent/cluster/yaml.ts'

/** There is no kubeconfig to use; the message says where one was looked for. */
export class NoKubeconfigError extends Error {
  override readonly name = 'NoKubeconfigError'
  readonly code = 'NO_KUBECONFIG' as const
}

/** Where distributions put the administrator's, for those who have none of their own. */
const OF_DISTRIBUTIONS = ['/etc/rancher/k3s/k3s.yaml', '/etc/kubernetes/admin.conf', '/var/lib/k0s/pki/admin.conf']

/** The agent's pod may do less than the test needs; whoever has kubectl may do more, and has no bramblectl. */
const HANDED_IN =
  'kubectl config view --raw --flatten | kubectl -n kube-system exec -i daemonset/bramble -- bramblectl connectivity test --kubeconfig /dev/stdin'

/**
 * The way to the API server as kubectl has it.
 * @throws NoKubeconfigError, KubeconfigError
 */
export function userAccess(
  given: string | undefined,
  context: string | undefined,
): { path: string; access: ApiAccess } {
  const path = given ?? fromEnvironment() ?? first()
  if (!existsSync(path)) throw new NoKubeconfigError(`there is no kubeconfig ${path}; name another: --kubeconfig FILE`)
  const text = read(path)
  const parse = (yaml: string) => {
    const config = parseOne(yaml)
    return context === undefined ? config : { ...(config as object), 'current-context': context }
  }
  return { path, access: parseKubeconfig(text, path, parse) }
}

function fromEnvironment(): string | undefined {
  const paths = (process.env.KUBECONFIG ?? '').split(':').filter((path) => path !== '')
  if (paths.length > 1)
    throw new NoKubeconfigError(
      `KUBECONFIG names ${paths.length} files, which only kubectl puts together; give --kubeconfig FILE, or first: kubectl config view --flatten > FILE`,
    )
  return paths[0]
}

function first(): string {
  const paths = [join(homedir(), '.kube/config'), ...OF_DISTRIBUTIONS]
  const found = paths.find((path) => existsSync(path))
  if (found) return found
  if (process.env.KUBERNETES_SERVICE_HOST !== undefined)
    throw new NoKubeconfigError(`a pod has no kubeconfig of an administrator; give it yours: ${HANDED_IN}`)
  throw new NoKubeconfigError(
    `there is no kubeconfig (${paths.join(', ')}); give --kubeconfig FILE, or --local on a host without Kubernetes`,
  )
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new NoKubeconfigError(`${path} cannot be read: ${code}${code === 'EACCES' ? '; try sudo' : ''}`, {
      cause: error,
    })
  }
}
