import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Logger } from 'pino'
import { replaceFile } from './replace-file.ts'

/**
 * Files that keep the node's own network daemons off our links and routes. All are below /run: no SD card is written, and with a
 * reboot they are gone, if nobody has taken them away before. The agent writes them before it makes its first link.
 */
export interface DropIn {
  readonly path: string
  /** Is there where the daemon runs. */
  readonly daemonMark: string
  readonly content: string
}

const HEAD = `# Written by bramble-agent; "bramble-agent uninstall" takes it away.\n`

export const DROP_INS: readonly DropIn[] = [
  {
    // udev sees new rules by itself; NetworkManager (nm-udev) and systemd-networkd from 255 on do as these say.
    path: '/run/udev/rules.d/90-bramble.rules',
    daemonMark: '/run/udev/control',
    content: `${HEAD}SUBSYSTEM=="net", KERNEL=="brm*|bramble.*", ENV{NM_UNMANAGED}="1", ENV{ID_NET_MANAGED_BY}="bramble"\n`,
  },
  {
    // For older ones: read when it starts, or by "networkctl reload".
    path: '/run/systemd/network/00-bramble.network',
    daemonMark: '/run/systemd/netif',
    content: `${HEAD}[Match]\nName=brm* bramble.*\n\n[Link]\nUnmanaged=yes\n`,
  },
  {
    // networkd.conf(5): when it starts it would remove the routes to other nodes' pods from the links that are its own.
    path: '/run/systemd/networkd.conf.d/bramble.conf',
    daemonMark: '/run/systemd/netif',
    content: `${HEAD}[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n`,
  },
]

/** Where one cannot be written the agent goes on: what somebody takes from its links it puts back. */
export function putDropIns(log: Logger): void {
  for (const { path, daemonMark, content } of DROP_INS) {
    // In a container its own folder is there, mounted, and the mark is not.
    if (!existsSync(daemonMark) && !existsSync(dirname(path))) continue
    try {
      mkdirSync(dirname(path), { recursive: true })
      if (replaceFile(path, Buffer.from(content), 0o644))
        log.info({ file: path }, 'told a daemon of the node to leave our links alone')
    } catch (err) {
      log.warn({ err, file: path }, 'a daemon of the node cannot be told to leave our links alone')
    }
  }
}
