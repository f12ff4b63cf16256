#!/bin/sh
# The first process of a machine, from its initial RAM disk, by busybox: makes the host's files the machine's own.
# They stay as they are on the host; what is written goes to memory.
. /settings
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod "$module"; done

mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,noxattr,ro host /host
mount -t tmpfs tmpfs /memory
mkdir /memory/upper /memory/work
mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work overlay /root

umount /proc
mount -o move /dev /root/dev
cp /settings /stripped.json /load-stripped.mjs /root/
exec switch_root /root /bin/sh "$project/test/vm/init.sh"
