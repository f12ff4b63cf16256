/**
 * What to do about a kind of tunnel that the kernel does not have, in words for people. Every distribution has all of
 * these kinds; where one is missing, it is in a package that is not installed, or gone with an upgrade until the reboot.
 */

/** The kinds of links that carry packets to another node. */
export const ENCAPSULATIONS = ['vxlan', 'ipip', 'gre', 'wireguard'] as const
export type Encapsulation = (typeof ENCAPSULATIONS)[number]

/** The kernel's module for it, and option when the kernel is built. */
const SOURCE: Readonly<Record<Encapsulation, readonly [module: string, option: string]>> = {
  vxlan: ['vxlan', 'CONFIG_VXLAN'],
  ipip: ['ipip', 'CONFIG_NET_IPIP'],
  gre: ['ip_gre', 'CONFIG_NET_IPGRE'],
  wireguard: ['wireguard', 'CONFIG_WIREGUARD'],
}

/**
 * Pure.
 * @param osRelease /etc/os-release, or empty; that of a container does not say what kernel runs, so the kernel goes first
 * @param kernelRelease as `uname -r` says
 */
export function remedyFor(kind: Encapsulation, osRelease: string, kernelRelease: string): string {
  const [module, option] = SOURCE[kind]
  const missing = `this kernel (${kernelRelease}) has no ${kind} (module ${module}, ${option})`
  return `${missing}: ${remedyOf(module, option, parseOsRelease(osRelease), kernelRelease)}`
}

function remedyOf(module: string, option: string, os: ReadonlyMap<string, string>, release: string): string {
  const ids = [os.get('ID') ?? '', ...(os.get('ID_LIKE') ?? '').split(' ')]
  if (isUbuntuPiWithExtraPackage(release))
    return `run "apt install linux-modules-extra-raspi" and "modprobe ${module}"; where the module is still not found, the package is for a newer kernel than the one that runs: reboot`
  if (release.endsWith('-raspi')) return upgraded(module, 'Ubuntu', `linux-modules-${release}`)
  if (release.includes('rpt') || ids.includes('raspbian')) return upgraded(module, 'Raspberry Pi OS')
  if (ids.includes('alpine')) return upgraded(module, 'Alpine', alpinePackage(release))
  if (ids.includes('ubuntu'))
    return `run "apt install linux-modules-${release} linux-modules-extra-${release}" and "modprobe ${module}"; where there are no such packages, reboot into a kernel of Ubuntu's that is installed`
  if (ids.includes('debian')) return upgraded(module, 'Debian', `linux-image-${release}`)
  return `install the package of your distribution that holds the module ${module} for this kernel, and run "modprobe ${module}"; a kernel that was upgraded needs a reboot first; one that you build needs ${option}=m`
}

/** The kernel's own package has the module, so it was there when the kernel was installed. */
function upgraded(module: string, distribution: string, packageName?: string): string {
  const holder = packageName ? `its package, ${packageName},` : 'its package'
  return `${distribution} has the module in the kernel itself; if the kernel was upgraded since the last boot, reboot; else install ${holder} again, and run "modprobe ${module}"`
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
