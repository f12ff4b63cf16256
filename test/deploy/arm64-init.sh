#!/bin/sh
# The first process of an arm64 machine whose root is that of our image: an agent, a pod, and what they say of
# themselves. arm64-machine.ts reads it.
export PATH=/opt/bramble/bin:/usr/sbin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
busybox hostname pi
busybox ip link set lo up
busybox ip address add 192.0.2.1/32 dev lo

step() {
  echo "== $1"
  shift
  "$@" 2>&1
  printf '\n== exit %d\n' "$?"
}

agent_is_ready() {
  until grep -q '"msg":"ready"' /run/log; do
    busybox kill -0 "$agent" || break
    sleep 1
  done
  cat /run/log
  busybox kill -0 "$agent"
}

plugin() {
  previous=${2:+,\"prevResult\":$(cat "$2")}
  echo "{\"cniVersion\":\"1.1.0\",\"name\":\"bramble\",\"type\":\"bramble\"$previous}" |
    CNI_COMMAND=$1 CNI_CONTAINERID=one CNI_IFNAME=eth0 CNI_NETNS=/proc/$pod/ns/net bramble
}

add() {
  plugin ADD >/run/result
  code=$?
  cat /run/result
  return "$code"
}

in_pod() {
  busybox nsenter --net=/proc/"$pod"/ns/net "$@"
}

agent_ends() {
  busybox kill "$agent"
  wait "$agent"
}

bramble-agent --pod-cidr 10.42.0.0/24 --pod-cidr fd42::/64 >/run/log 2>&1 &
agent=$!
busybox unshare -n sleep 1000000 &
pod=$!

step machine uname -m
step pages grep -m1 KernelPageSize /proc/self/smaps
step ready agent_is_ready
step status plugin STATUS
step add add
step check plugin CHECK /run/result
step ipv4 ping -c 1 -w 20 10.42.0.1
step ipv6 ping -c 1 -w 20 fd42::1
step out in_pod ping -c 1 -w 20 192.0.2.1
step tables nft list tables
step ctl bramblectl status -o json
step delete plugin DEL
step sigterm agent_ends
step end true
busybox poweroff -f
