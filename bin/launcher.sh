#!/bin/sh
# Starts the bundle of this program's name with the runtime beside it, from any folder and through symbolic links.
lib=$(dirname "$(readlink -f "$0")")/../lib
exec "$lib/node" --max-semi-space-size=1 --disable-warning=ExperimentalWarning "$lib/$(basename "$(readlink -f "$0")").mjs" "$@"
