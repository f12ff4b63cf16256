import type { PolicyAnswers } from '../agent/api/policy-answers.ts'
import type { Commands } from './command.ts'
import { parseEnd, parsePod, parsePort, parseTarget } from './policy-ends.ts'
import { renderMatrixPage } from './policy-html.ts'
import { renderMatrix } from './policy-matrix.ts'
import { isPreviewGood, renderPreview } from './policy-preview.ts'
import { renderPolicies } from './policy-show.ts'
import { UsageError } from './usage-error.ts'

const ENDS = `SRC, DST   NAMESPACE/POD    a pod anywhere in the cluster; pod/NAMESPACE/POD says the same
           pod/POD          one of the namespace default
           node/NAME        a node, by its addresses
           10.42.0.7        any address; an IPv6 address before a port stands in brackets: [fd42::7]:80
           world            somebody outside of the cluster`

const PORTS = `PORT       a number, or a name that the destination pod has for it
PROTO      tcp (without it), udp or sctp; or icmp alone, without a port`

export const POLICY_COMMANDS: Commands<keyof PolicyAnswers> = {
  'policy show': {
    args: { text: '[NAMESPACE/POD]', least: 0, most: 1 },
    describe: 'the policies, and what they have counted; or those of one pod, and what they let in and out',
    help: `Without a pod: every policy that the agent knows, whom it is for, and what this node's rules have let
through, dropped, or would have dropped (audit), in packets that begin connections. With a pod, of this
node or another one: the policies that select it, in the order in which they decide, each with its rules
in short words.

Examples:
  bramblectl policy show
  bramblectl policy show shop/web-0`,
    request: ([pod]) => (pod === undefined ? {} : { words: { POD: parsePod(pod) } }),
    render: renderPolicies,
    exitCode: () => 0,
  },
  'policy explain': {
    args: { text: 'SRC DST[:PORT/PROTO]', least: 2, most: 2 },
    describe: 'may SRC reach DST? the rule that decides, or the one that is missing; exit code 3 for no',
    help: `${ENDS}
${PORTS}
           Without a port: all of them, in groups that no rule tells apart.

Asks the agent of this node, which knows the whole cluster; nothing is sent. What comes out of SRC and
what comes into DST are two decisions, and both must allow. Where both have two families and they
differ, each is told.

Exit codes: 0 allowed, 3 denied (some of it at least), 1 there is no such pod or no agent, 2 wrong command line.

Examples:
  bramblectl policy explain shop/web-0 shop/db-0:5432
  bramblectl policy explain world shop/web-0:http/tcp
  bramblectl policy explain shop/web-0 [2001:db8::1]:53/udp
  bramblectl policy explain node/pi-2 shop/web-0:icmp`,
    request: ([from = '', target = '']) => {
      const { to, port } = parseTarget(target)
      return { words: { FROM: parseEnd(from), TO: to, ...port } }
    },
    render: async (answer) => (await import('./policy-explain.ts')).renderExplanation(answer),
    exitCode: ({ isAllowed }) => (isAllowed ? 0 : 3),
  },
  'policy preview': {
    options: ['file', 'flows', 'delete'],
    describe: 'what the policies of a file would change, and which connections would be cut',
    help: `Holds the policies of FILE (YAML or JSON, several documents, - for stdin) against the cluster as the
agent knows it: added, or in the place of those of their names. Nothing is written. Tells between which
pods, nodes and addresses which ports would open or close; pods that no policy tells apart are told as
one. Connections are those of this node's pods.

Exit codes: 0, whatever changes; 1 where a field or an object cannot be used, or no agent; 2 wrong command line.

Examples:
  bramblectl policy preview -f new.yaml --flows
  kubectl get networkpolicy -n shop -o yaml | bramblectl policy preview -f - --delete`,
    request: async (_, { file, flows, delete: isDelete }) => {
      if (file === undefined) throw new UsageError('policy preview needs -f FILE')
      return {
        words: { FLOWS: flows ? '1' : '0', DELETE: isDelete ? '1' : '0' },
        body: (await import('./policy-file.ts')).readObjects(file),
      }
    },
    render: renderPreview,
    exitCode: (preview) => Number(!isPreviewGood(preview)),
  },
  'policy matrix': {
    options: ['namespace', 'port'],
    describe: 'who reaches whom in a namespace, as a table, or as a page to look at (-o html)',
    help: `Lines are sources, columns are destinations: the pods of the namespace, those that no policy tells apart
as one; then others of the cluster, those that it treats alike as one; then the world. Without --port a
field says whether all ports, some or none get through.

${PORTS}

Examples:
  bramblectl policy matrix -n shop
  bramblectl policy matrix -n shop --port 5432/tcp
  bramblectl policy matrix -n shop -o html > shop.html`,
    request: (_, { namespace, port }) => {
      if (namespace === undefined) throw new UsageError('policy matrix needs -n NAMESPACE')
      if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(namespace))
        throw new UsageError(`"${namespace}" is no namespace: small letters, digits and "-" are expected`)
      return { words: { NAMESPACE: namespace, ...(port === undefined ? {} : parsePort(port)) } }
    },
    render: renderMatrix,
    renderHtml: renderMatrixPage,
    exitCode: () => 0,
  },
}
