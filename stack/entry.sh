#!/bin/sh
# The entry of our images: what a container writes is its own alone.
umask 077
exec "$@"
