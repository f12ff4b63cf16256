#!/bin/sh
# Installs Bramble on a host without Kubernetes, from the folder that this script is in; or puts this version in the
# place of an older one, without a packet lost. Nothing that runs is written to: all comes by rename.
#   sudo ./install.sh            DESTDIR=/mnt ./install.sh puts it into another root, and starts nothing
set -eu
umask 022
destdir=${DESTDIR-}
here=$(dirname "$(readlink -f "$0")")
cd "$here"

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

[ -n "$destdir" ] || [ "$(id -u)" = 0 ] || fail "needs root: it writes to /opt, /etc and /usr/local/bin; try sudo ./install.sh"
case $(cat share/architecture) in
  amd64) machine=x86_64 ;;
  arm64) machine=aarch64 ;;
esac
[ -n "$destdir" ] || [ "$(uname -m)" = "$machine" ] ||
  fail "this package is for $machine, and this is a $(uname -m) machine: take the other one (a 32-bit system cannot run Bramble)"
[ -n "$destdir" ] || "$here/lib/node" --version >/dev/null 2>&1 ||
  fail "its runtime does not start here: it needs glibc 2.28 and libstdc++ (Debian: apt install libstdc++6)"

# The agent, its runtime and the tool: beside, then swapped.
home=$destdir/opt/bramble
mkdir -p "$destdir/opt" "$destdir/usr/local/bin" "$destdir/opt/cni/bin" "$destdir/etc/bramble" "$destdir/etc/systemd/system"
rm -rf "$home.new"
mkdir "$home.new"
cp -R bin lib share "$home.new"
rm -rf "$home.old"
[ ! -e "$home" ] || mv "$home" "$home.old"
mv "$home.new" "$home"
ln -sf /opt/bramble/bin/bramblectl "$destdir/usr/local/bin/bramblectl"

put() { # FROM TO [MODE]: whole or not at all
  cp "$1" "$2.new"
  [ -z "${3-}" ] || chmod "$3" "$2.new"
  mv "$2.new" "$2"
}
put bin/bramble "$destdir/opt/cni/bin/bramble"
put bramble-agent.service "$destdir/etc/systemd/system/bramble-agent.service"
# What is configured stays; the address of Redis in it may have a password.
[ -e "$destdir/etc/bramble/agent.yaml" ] || put agent.yaml "$destdir/etc/bramble/agent.yaml" 600

[ -z "$destdir" ] || exit 0
ldconfig -p 2>/dev/null | grep -q libnftables.so.1 ||
  echo "libnftables is missing, and policies and masquerading need it: apt install libnftables1" >&2
if ! command -v systemctl >/dev/null; then
  echo "installed; there is no systemd here: start /opt/bramble/bin/bramble-agent --config /etc/bramble/agent.yaml as root"
  exit 0
fi
systemctl daemon-reload
if systemctl --quiet is-active bramble-agent; then
  systemctl restart bramble-agent
  echo "installed, and the agent restarted: bramblectl status"
else
  cat <<END
installed. Now
  1. say in /etc/bramble/agent.yaml which addresses are this host's
  2. systemctl enable --now bramble-agent && bramblectl status
  3. mkdir -p /etc/cni/net.d && cp $here/10-bramble.conflist /etc/cni/net.d/    from then on the runtime uses it
END
fi
