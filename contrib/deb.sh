#!/usr/bin/env bash
# Makes the Debian package: contrib/deb.sh [--built] [options of cargo deb]
#
# --built takes the program that lies in the dist folder already. What else is in the package is listed in
# Cargo.toml, [package.metadata.deb].
set -euo pipefail
cd "$(dirname "$0")/.."

dist="${CARGO_TARGET_DIR:-target}/dist"
if [[ ${1:-} == --built ]]; then
  shift
else
  cargo build --locked --profile dist --bin mta-stsd
fi
# Man pages and completions, from the definitions that the program reads its command line by.
rm -rf "$dist/package"
"$dist/mta-stsd" generate "$dist/package"
gzip -9n "$dist"/package/man/*.8
cargo deb --locked --no-build --profile dist "$@"
