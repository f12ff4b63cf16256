import { check } from '../check.ts'
import { command, type Finding } from '../finding.ts'

/** What this kernel cannot do: tried, with objects that nobody else sees. */
export const KERNEL_CHECKS = [
  check({
    name: 'tunnel-missing',
    symptom: 'pods of nodes in other subnets are not reached; "operation not supported" for vxlan',
    needs: ['kernel'],
    find: ({ kernel: { missingTunnels, wantsTunnels } }) =>
      [...missingTunnels].map(
        ([kind, remedy]): Finding => ({
          severity: wantsTunnels.includes(kind) ? 'error' : 'warning',
          what: `${kind} is not possible: ${remedy.split(': ')[0]}`,
          why: wantsTunnels.includes(kind)
            ? 'nodes that are reached by it are not reached'
            : 'nodes in other subnets will be met by IPIP, where that is possible, or not at all',
          advice: remedy.split(': ').slice(1).join(': '),
          // The words of the remedy, once more for those who copy: it puts commands in quotes.
          remedies: Array.from(remedy.matchAll(/"((?:apt|apk|modprobe) [^"]+)"/g), ([, text = '']) => command(text)),
        }),
      ),
  }),
  check({
    name: 'kernel-feature',
    symptom: 'the agent says that the kernel or libnftables refused something',
    needs: ['kernel'],
    find: ({ kernel: { refused } }) =>
      refused.map(
        ({ feature, module, error }): Finding => ({
          severity: 'error',
          what: `this node's kernel refuses ${feature}: ${error}`,
          why: 'pods cannot be wired, or policies and masquerading are not in force',
          advice:
            'a kernel that was upgraded finds its modules after a reboot; slim kernels want the package of the full ones',
          remedies: [command(`modprobe ${module}`)],
        }),
      ),
  }),
]
