import { join } from 'node:path'
import { type ApiAccess, KubeconfigError } from './access.ts'

/** Where kubelet puts them into every container that has a ServiceAccount. */
const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount'

/**
 * The way to the API server that a pod of the cluster has.
 * @throws KubeconfigError when this is no pod of a cluster
 */
export function inClusterAccess(env: NodeJS.ProcessEnv, serviceAccountDir = SERVICE_ACCOUNT_DIR): ApiAccess {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env
  if (!host || !port)
    throw new KubeconfigError(
      'environment',
      'KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT',
      'are not set, so this is no pod of a cluster; give --kubeconfig FILE',
    )
  const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`
  if (!URL.canParse(server) || !/^\d+$/.test(port))
    throw new KubeconfigError(
      'environment',
      'KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT',
      `are ${JSON.stringify(host)}, ${JSON.stringify(port)}; an address and a port are expected`,
    )
  return {
    server,
    ca: { file: join(serviceAccountDir, 'ca.crt') },
    skipsTlsVerify: false,
    token: { file: join(serviceAccountDir, 'token') },
  }
}
