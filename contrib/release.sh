#!/usr/bin/env bash
# Makes everything that a release has, in target/release-VERSION; docs/releasing.md is the recipe around it.
#
# Needs cargo-deb, cargo-auditable, cargo-cyclonedx and cargo-deny (cargo install --locked), and lintian.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ -z $(git status --porcelain --untracked-files=no) ]] || { echo "release.sh: the tree differs from its commit" >&2; exit 1; }
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
out=target/release-$version
target=$(rustc --print host-tuple)
rm -rf "$out"
mkdir -p "$out"

# The same commit gives the same files, whenever and wherever in the file system it is built.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
export RUSTFLAGS="--remap-path-prefix=$PWD=/source --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"

# Known weaknesses, licences, sources.
cargo deny --locked check

# The program carries the list of what it is made of: `cargo audit bin mta-stsd` reads it.
cargo auditable build --locked --profile dist --bin mta-stsd
contrib/deb.sh --built --compress-system --output "$out"
lintian --fail-on error,warning "$out"/*.deb

# Program, units, pages and completions for other systems.
tar --create --xz --file "$out/mta-stsd-$version-$target.tar.xz" \
  --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
  --transform "s,^target/dist/package,.,;s,^target/dist/,,;s,^,mta-stsd-$version/," \
  target/dist/mta-stsd target/dist/package systemd config.example.toml contrib/debian/mta-stsd.toml \
  README.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE docs
git archive --prefix="mta-stsd-$version/" --output="$out/mta-stsd-$version.tar.gz" HEAD

# The bill of materials, as CycloneDX.
cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries --target "$target"
sed "s,$PWD,/source,g" mta-stsd_bin.cdx.json >"$out/mta-stsd-$version.cdx.json"
rm mta-stsd_bin.cdx.json

(cd "$out" && sha256sum -- * >SHA256SUMS)
echo "made in $out:"
cat "$out/SHA256SUMS"
