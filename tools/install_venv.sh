#!/usr/bin/env bash
# python3 without its venv module (Debian splits it off): install it when root, else say the one command to type.
set -euo pipefail
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
else
    echo "python3 has no venv module. Type this once, then make again:" >&2
    echo "    sudo apt-get install python3-venv" >&2
    exit 2
fi
