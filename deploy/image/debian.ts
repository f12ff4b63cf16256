import { execFileSync } from 'node:child_process'
import { globSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Architecture } from './architecture.ts'
import type { TarEntry } from './tar.ts'
import { readTree } from './tree.ts'

/**
 * The oldest that many run: libnftables 1.1.2 and newer leave notes in tables that older `nft` crashes upon when it lists
 * anything (docs/decisions/0017), and the node's own, or kube-proxy's, may be older than ours.
 */
const RELEASE = { codename: 'bookworm', version: '12' }
/** /lib is a link to /usr/lib, as on every Debian since 12. */
const MERGED_USR = '/usr/share/mmdebstrap/hooks/merged-usr'
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** With what these depend on. `nft` is for people: the agent asks libnftables. */
const PACKAGES = ['libc6', 'libstdc++6', 'libnftables1', 'nftables', 'busybox-static', 'containernetworking-plugins']

/** Those of busybox that launcher.sh calls, and those that a person, a probe or `kubectl cp` wants in a container. */
const APPLETS = [
  ...['sh', 'basename', 'dirname', 'readlink'],
  ...['arping', 'cat', 'chmod', 'cp', 'date', 'df', 'dmesg', 'env', 'find', 'free', 'grep', 'head', 'hostname', 'id'],
  ...['ip', 'less', 'ls', 'lsmod', 'mkdir', 'modprobe', 'mount', 'mv', 'nc', 'nslookup', 'ping', 'ping6', 'ps', 'pwd'],
  ...[
    'rm',
    'sed',
    'sleep',
    'sort',
    'stat',
    'sysctl',
    'tail',
    'tar',
    'top',
    'traceroute',
    'uname',
    'uptime',
    'vi',
    'wc',
  ],
  'wget',
]

/** Of what the packages have: what runs, what says under which licence, and what scanners look for … */
const KEPT = [
  ...['usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64', 'etc/ld.so.conf.d'],
  ...['usr/share/doc', 'var/lib/dpkg/status.d'],
]
/** … but character sets, what debuggers load, and of other people's plugins those that nobody chains to ours. */
const LEFT_OUT = /\/(gconv|audit|systemd)$|^usr\/share\/doc\/[^/]+\/(?!copyright$)|^usr\/lib\/cni\/(?!loopback$)/

export interface DebianPackage {
  readonly name: string
  readonly version: string
  /** That of its source package, where it has another name. */
  readonly source: string
}

/**
 * The root file system: Debian's C library, libnftables, nft and busybox; no package manager, no `/etc` to speak of.
 * Packages are unpacked and none of their scripts run, so that no machine of that architecture is needed.
 * @param folder an empty one, for this
 * @param snapshot a day of snapshot.debian.org, as 20261121T000000Z; the mirror that apt uses here without it
 */
export function debianRoot(
  architecture: Architecture,
  folder: string,
  snapshot?: string,
): { entries: TarEntry[]; packages: DebianPackage[] } {
  const archive = join(folder, 'debian.tar')
  const root = join(folder, 'debian')
  // What dpkg would note of a package that it installs, in the place where scanners look when there is no dpkg.
  const note =
    'mkdir -p "$1/var/lib/dpkg/status.d"; for deb in "$1"/var/cache/apt/archives/*.deb; do ' +
    'dpkg-deb --field "$deb" >"$1/var/lib/dpkg/status.d/$(dpkg-deb --field "$deb" Package)"; done'
  const options = [
    '--quiet',
    '--variant=extract',
    '--format=tar',
    `--architectures=${architecture.name}`,
    `--hook-directory=${MERGED_USR}`,
    '--aptopt=APT::Install-Recommends "false"',
    `--include=${PACKAGES.join(',')}`,
    `--extract-hook=${note}`,
  ]
  execFileSync('mmdebstrap', [...options, RELEASE.codename, archive, ...debianSources(snapshot)], {
    stdio: ['ignore', 'ignore', 'pipe'], // what it says of its errors is in the error
  })
  mkdirSync(root)
  execFileSync('tar', ['-xf', archive, '-C', root, '--no-same-owner', '--exclude=./dev'])
  rmSync(archive)
  const packages = globSync(join(root, 'var/lib/dpkg/status.d/*')).map((path) => packageOf(readFileSync(path, 'utf8')))
  return {
    entries: merged(ownEntries(), readTree(root, isKept)),
    packages: sorted(packages),
  }
}

function isKept(path: string): boolean {
  const isNear = KEPT.some((folder) => `${path}/`.startsWith(`${folder}/`) || folder.startsWith(`${path}/`))
  return isNear && !LEFT_OUT.test(path)
}

interface Mirrors {
  readonly debian: string
  readonly security: string
}

/** Those that apt uses on this machine, if that is a Debian: they can be reached. */
function aptMirrors(): Mirrors {
  const uris = execFileSync('apt-get', ['indextargets', '--format', '$(REPO_URI)'], { encoding: 'utf8' }).split('\n')
  return {
    debian: uris.find((uri) => /\/debian\/?$/.test(uri)) ?? 'http://deb.debian.org/debian',
    security: uris.find((uri) => /\/debian-security\/?$/.test(uri)) ?? 'http://deb.debian.org/debian-security',
  }
}

/**
 * Lines of sources.list for a release, by default the one that images are made of.
 * @param snapshot as of debianRoot; the word of an old one that it is new enough has run out
 */
export function debianSources(snapshot?: string, codename = RELEASE.codename): string[] {
  const archive = (name: string) => `http://snapshot.debian.org/archive/${name}/${snapshot}`
  const { debian, security } = snapshot
    ? { debian: archive('debian'), security: archive('debian-security') }
    : aptMirrors()
  const deb = `deb [signed-by=${KEYRING}${snapshot ? ' check-valid-until=no' : ''}]`
  return [
    `${deb} ${debian} ${codename} main`,
    `${deb} ${debian} ${codename}-updates main`,
    `${deb} ${security} ${codename}-security main`,
  ]
}

function packageOf(control: string): DebianPackage {
  const field = (name: string) => new RegExp(`^${name}: (\\S+)`, 'm').exec(control)?.[1] ?? ''
  return { name: field('Package'), version: field('Version'), source: field('Source') || field('Package') }
}

function sorted(packages: readonly DebianPackage[]): DebianPackage[] {
  return packages.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** Sorted by path; folders are in both. */
function merged(...all: readonly TarEntry[][]): TarEntry[] {
  const byPath = new Map(all.flat().map((entry) => [entry.path, entry]))
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** What a Debian makes when it is installed, as far as anybody looks at it. */
function ownEntries(): TarEntry[] {
  const folder = (path: string): TarEntry => ({ path, type: 'directory' })
  const file = (path: string, text: string): TarEntry => ({ path, type: 'file', content: Buffer.from(text) })
  const link = (path: string, target: string): TarEntry => ({ path, type: 'symlink', target })
  return [
    ...['bin', 'sbin', 'lib', 'lib64'].map((name) => link(name, `usr/${name}`)),
    // Where a container's own are mounted: the root may be read-only.
    ...['dev', 'proc', 'run', 'sys', 'host'].map(folder),
    { path: 'tmp', type: 'directory', mode: 0o1777 },
    folder('var'),
    link('var/run', '../run'), // runtimes name namespaces /var/run/netns/…
    folder('etc'),
    folder('etc/bramble'),
    file('etc/passwd', 'root:x:0:0:root:/:/bin/sh\n'),
    file('etc/group', 'root:x:0:\n'),
    file('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
    file(
      'etc/os-release',
      `PRETTY_NAME="Debian GNU/Linux ${RELEASE.version} (${RELEASE.codename})"\nID=debian\n` +
        `VERSION_ID="${RELEASE.version}"\nVERSION_CODENAME=${RELEASE.codename}\n`,
    ),
    folder('usr'),
    folder('usr/bin'),
    folder('usr/sbin'),
    folder('usr/lib64'),
    ...APPLETS.map((name) => link(`usr/bin/${basename(name)}`, 'busybox')),
    // The kernel looks for it there, in the root of whoever made it load a module.
    link('usr/sbin/modprobe', '../bin/busybox'),
  ]
}
