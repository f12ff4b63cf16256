#!/bin/sh
# The first process of a machine once its files are there: mounts, modules, one command, its exit code.
. /settings
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH HOME=/root LC_ALL=C.UTF-8
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

# All at once: each one that is loaded when it is asked for takes half a second.
modprobe -a $(cat "$project/test/vm/modules.txt")

# One port for what the command reads and writes, one for its errors, one for its exit code: machine.ts has the other ends.
port=$(echo /dev/vport*p1)
port=${port%1}
sh /command <>"${port}1" >&0 2>"${port}2"
echo $? >"${port}3"
sleep 3600 # until the host ends the machine
