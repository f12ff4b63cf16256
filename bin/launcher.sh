#!/bin/sh
# Starts the bundle of this program's name with the runtime beside it, from any folder and through symbolic links.
lib=$(dirname "$(readlink -f "$0")")/../lib
# One malloc arena and a small young generation: a Pi has memory for other things. And SIGUSR1, which some send to daemons to
# have their logs rotated, opens no debugger to everybody on the node.
export MALLOC_ARENA_MAX=1
exec "$lib/node" --max-semi-space-size=1 --expose-gc --disable-sigusr1 "$lib/$(basename "$(readlink -f "$0")").mjs" "$@"
