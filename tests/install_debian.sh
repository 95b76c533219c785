#!/usr/bin/env bash
# install_debian.sh PROGRAM PACKAGE…: install Debian's packages (as root) where the program is
# missing, without letting any server start.
set -euo pipefail
program=$1
shift
if ! PATH=$PATH:/usr/sbin command -v "$program" >/dev/null; then
  apt-get update -qq
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  trap 'rm /usr/sbin/policy-rc.d' EXIT
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
fi
