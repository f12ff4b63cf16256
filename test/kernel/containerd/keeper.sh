#!/bin/sh
# Runs a program, and all it starts, in a PID namespace of its own until it ends, or this script's standard input
# does: when the test is over, or killed. Then no process of theirs is left, and their cgroups, the one thing that no
# namespace takes along, are removed.
#   keeper.sh CGROUP PROGRAM [ARGUMENT ...]
cgroup=$1
shift

# Mounts that the program makes in /run (network namespaces) are seen in the scratch node too, where /run is shared.
unshare --fork --pid --kill-child --mount-proc --propagation unchanged "$@" </dev/null &
program=$!

trap '' PIPE # nobody may be there any more to read standard error
exec 3<&0
{
  while read -r _ <&3; do :; done
  kill -KILL "$program"
} &
watch=$!
wait "$program"
kill "$watch" 2>/dev/null

# A cgroup can be removed once the last process in it is gone.
for _ in 1 2 3 4 5 6 7 8 9 10; do
  find /sys/fs/cgroup -depth -type d \( -name "$cgroup" -o -path "*/$cgroup/*" \) -exec rmdir {} + 2>/dev/null
  test -z "$(find /sys/fs/cgroup -type d -name "$cgroup")" && exit 0
  sleep 0.2
done
echo "cgroups named $cgroup are left" >&2
exit 1
