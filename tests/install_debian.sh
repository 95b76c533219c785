#!/usr/bin/env bash
# Install Debian's packages (as root) where a program of theirs is missing, and let none start:
# install_debian.sh PROGRAM PACKAGE…
set -euo pipefail
program=$1
shift
export PATH=$PATH:/usr/sbin
command -v "$program" >/dev/null && exit
exec 9>/run/lock/bookrec-install-debian
flock 9  # processes that run tests beside each other install one after the other
command -v "$program" >/dev/null && exit
apt-get update -qq
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
trap 'rm /usr/sbin/policy-rc.d' EXIT
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
