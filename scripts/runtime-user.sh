#!/bin/sh
# Makes the user that the container runs as, its data folder, and the certificates that an RPC endpoint
# needs.
set -eu
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends ca-certificates
rm -rf /var/lib/apt/lists/*
groupadd --gid 10001 gristmill
useradd --uid 10001 --gid gristmill --home-dir /var/lib/gristmill --create-home --shell /usr/sbin/nologin gristmill
chmod 700 /var/lib/gristmill
