#!/bin/sh
# `ray-node --head …` or `ray-node --address=…`: a Ray node that is known by its address on the network `ray`.
set -eu
head=$(getent hosts head.ray | cut -d ' ' -f 1)
case "$1" in
  --head) own=$head ;;
  *) own=$(hostname -i | cut -d ' ' -f 1) ;;
esac
exec ray start --block --disable-usage-stats --node-ip-address="$own" --object-store-memory=200000000 "$@"
