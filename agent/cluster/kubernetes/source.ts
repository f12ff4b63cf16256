import type { Logger } from 'pino'
import { readRegularFile } from '../../regular-file.ts'
import { type ApiAccess, KubeconfigError } from './access.ts'
import { ApiClient } from './client.ts'
import { inClusterAccess } from './in-cluster.ts'
import { parseKubeconfig } from './kubeconfig.ts'
import { KubernetesSource } from './nodes.ts'

/**
 * The cluster from the API server that a kubeconfig names, or that this pod has been given.
 * @param kubeconfig a file; absent: in-cluster
 * @param parse of YAML; throws an Error with a message of one line
 * @throws KubeconfigError when there is no usable way to an API server
 */
export function kubernetesSource({
  nodeName,
  kubeconfig,
  parse,
  log,
}: {
  readonly nodeName: string
  readonly kubeconfig?: string
  readonly parse: (text: string) => unknown
  readonly log: Logger
}): KubernetesSource {
  const access = accessFrom(kubeconfig, parse)
  log.info({ server: access.server, from: kubeconfig ?? 'in-cluster' }, 'the cluster is that of the API server')
  if (access.skipsTlsVerify)
    log.warn({ server: access.server }, 'the certificate of the API server is not looked at: anybody may answer for it')
  return new KubernetesSource(new ApiClient(access), nodeName)
}

/** Without a view of the cluster; as kubernetesSource. @throws KubeconfigError */
export function apiClient(kubeconfig: string | undefined, parse: (text: string) => unknown): ApiClient {
  return new ApiClient(accessFrom(kubeconfig, parse))
}

function accessFrom(kubeconfig: string | undefined, parse: (text: string) => unknown): ApiAccess {
  return kubeconfig === undefined ? inClusterAccess(process.env) : parseKubeconfig(read(kubeconfig), kubeconfig, parse)
}

function read(path: string): string {
  try {
    return readRegularFile(path).toString()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new KubeconfigError(path, 'the file', `cannot be read: ${code ?? message}; see --kubeconfig`, {
      cause: error,
    })
  }
}
