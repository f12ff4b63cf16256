/**
 * What to do about a kind of tunnel that the kernel does not have, in words for people. Every distribution has all of
 * these kinds; where one is missing, it is in a package that is not installed, or gone with an upgrade until the reboot.
 */

/** The kinds of links that carry packets to another node. */
export const ENCAPSULATIONS = ['vxlan', 'ipip', 'sit', 'wireguard'] as const
export type Encapsulation = (typeof ENCAPSULATIONS)[number]

/** The kernel's option; the module has the name of the kind. */
const OPTION: Readonly<Record<Encapsulation, string>> = {
  vxlan: 'CONFIG_VXLAN',
  ipip: 'CONFIG_NET_IPIP',
  sit: 'CONFIG_IPV6_SIT',
  wireguard: 'CONFIG_WIREGUARD',
}

/**
 * Pure.
 * @param osRelease /etc/os-release, or empty; that of a container does not say what kernel runs, so the kernel goes first
 * @param kernelRelease as `uname -r` says
 */
export function remedyFor(kind: Encapsulation, osRelease: string, kernelRelease: string): string {
  const missing = `this kernel (${kernelRelease}) has no ${kind} (module ${kind}, ${OPTION[kind]})`
  return `${missing}: ${remedyOf(kind, parseOsRelease(osRelease), kernelRelease)}`
}

function remedyOf(kind: Encapsulation, os: ReadonlyMap<string, string>, release: string): string {
  const ids = [os.get('ID') ?? '', ...(os.get('ID_LIKE') ?? '').split(' ')]
  if (isUbuntuPiWithExtraPackage(release))
    return `run "apt install linux-modules-extra-raspi" and "modprobe ${kind}"; where the module is still not found, the package is for a newer kernel than the one that runs: reboot`
  if (release.endsWith('-raspi')) return upgraded(kind, 'Ubuntu', `linux-modules-${release}`)
  if (release.includes('rpt') || ids.includes('raspbian')) return upgraded(kind, 'Raspberry Pi OS')
  if (ids.includes('alpine')) return upgraded(kind, 'Alpine', alpinePackage(release))
  if (ids.includes('ubuntu'))
    return `run "apt install linux-modules-${release} linux-modules-extra-${release}" and "modprobe ${kind}"; where there are no such packages, reboot into a kernel of Ubuntu's that is installed`
  if (ids.includes('debian')) return upgraded(kind, 'Debian', `linux-image-${release}`)
  return `install the package of your distribution that holds the module ${kind} for this kernel, and run "modprobe ${kind}"; a kernel that was upgraded needs a reboot first; one that you build needs ${OPTION[kind]}=m`
}

/** The kernel's own package has the module, so it was there when the kernel was installed. */
function upgraded(kind: Encapsulation, distribution: string, packageName?: string): string {
  const holder = packageName ? `its package, ${packageName},` : 'its package'
  return `${distribution} has the module in the kernel itself; if the kernel was upgraded since the last boot, reboot; else install ${holder} again, and run "modprobe ${kind}"`
}

/**
 * From 21.10 to 23.10 Ubuntu kept vxlan and others out of the Pi's kernel package
 * (https://bugs.launchpad.net/ubuntu/+source/linux-raspi/+bug/1947628 and 2048862, which ended it with Linux 6.7).
 */
function isUbuntuPiWithExtraPackage(release: string): boolean {
  const [, major = '', minor = ''] = /^(\d+)\.(\d+)\..*-raspi$/.exec(release) ?? []
  const version = Number(major) * 1000 + Number(minor)
  return version >= 5013 && version < 6007
}

/** `6.12.13-0-rpi` is of the package linux-rpi, `6.6.58-0-lts` of linux-lts. */
function alpinePackage(release: string): string | undefined {
  const [, flavour] = /-\d+-(\w+)$/.exec(release) ?? []
  return flavour && `linux-${flavour}`
}

/** os-release(5): NAME=value, in quotes where it has to be. */
function parseOsRelease(text: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, name, value = ''] = /^\s*([A-Z0-9_]+)=(.*?)\s*$/.exec(line) ?? []
    if (name) fields.set(name, value.replace(/^(["'])(.*)\1$/, '$2'))
  }
  return fields
}
