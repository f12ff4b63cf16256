#!/bin/sh
# The first process of a machine once its files are there: mounts, modules, then commands, one after another.
. /settings
export PATH="$node:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root LC_ALL=C.UTF-8
export NODE_OPTIONS=--import=/load-stripped.mjs TAP_TIMEOUT="$tap_timeout_seconds"
# For all files that the machine runs: tap alone is half a thousand of modules.
export NODE_COMPILE_CACHE=/dev/shm/compile-cache
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /dev/pts /dev/shm /lib/modules
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount --bind "$modules" /lib/modules
hostname vm
ip link set lo up

# All at once: each one that is loaded when it is asked for, as any other, takes longer.
modprobe -a $(cat "$project/test/vm/modules.txt")

# machine.ts has the other ends: one port for commands and what they print, one for their errors, one for exit codes.
port=$(echo /dev/vport*p1)
port=${port%1}
exec 3<>"${port}1" 4>"${port}2" 5>"${port}3"
cd "$project"
while read -r command <&3; do
  (eval "$command") </dev/null >&3 2>&4 3>&- 4>&- 5>&-
  code=$?
  printf '\0' >&3
  printf '\0' >&4
  printf '%d\0' "$code" >&5
done
