#!/bin/sh
# Starts the bundle of this program's name with the runtime beside it, from any folder and through symbolic links.
lib=$(dirname "$(readlink -f "$0")")/../lib
# One malloc arena and a small young generation: a Pi has memory for other things.
export MALLOC_ARENA_MAX=1
exec "$lib/node" --max-semi-space-size=1 --expose-gc "$lib/$(basename "$(readlink -f "$0")").mjs" "$@"
