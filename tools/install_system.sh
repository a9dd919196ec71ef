#!/usr/bin/env bash
# Programs that tests speak to and PyPI does not have. As root they are installed from Debian; otherwise the tests that
# need them skip and name this command (with CI=true they fail).
set -euo pipefail
missing=()
command -v chromium >/dev/null || missing+=(chromium)
{ command -v Rscript >/dev/null && Rscript -e 'library(reticulate)' >/dev/null 2>&1; } || missing+=(r-base-core r-cran-reticulate)
{ command -v mosquitto || [ -x /usr/sbin/mosquitto ]; } >/dev/null || missing+=(mosquitto)
command -v xrootd >/dev/null || missing+=(xrootd-server)
command -v mkfs.btrfs >/dev/null || missing+=(btrfs-progs)
command -v systemd-analyze >/dev/null || missing+=(systemd)
{ ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && command -v createdb setpriv >/dev/null; } || missing+=(postgresql util-linux)
for program in rsync strace; do command -v "$program" >/dev/null || missing+=("$program"); done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]} from Debian"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
    echo "not installed: ${missing[*]}; tests that need them will skip. To have them: sudo apt-get install ${missing[*]}" >&2
fi
