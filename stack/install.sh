#!/bin/sh
# `install.sh LOCK`: what a lock names, by its hashes, with bytecode.
set -eu
pip --python /opt/venv/bin/python install --no-compile --require-hashes --only-binary :all: -r "$1"
cd /opt/venv/lib/python3.*/site-packages
rm -rf tensorflow/include  # 430 MB of C++ headers
find . -type d -name tests -prune -exec rm -rf {} +  # 150 MB that test others' code
echo /opt/searchlab > searchlab.pth
# Whoever reads such bytecode trusts it without the date of the source.  Some packages hold files that no Python reads.
/opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash . || true
