#!/usr/bin/env bash
# Install Debian's nginx (as root) where there is none, without letting it start.
set -euo pipefail
if ! command -v nginx >/dev/null; then
  apt-get update -qq
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  trap 'rm /usr/sbin/policy-rc.d' EXIT
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light curl >/dev/null
fi
