#!/usr/bin/env bash
# Writes the pictures in docs/images: the admin page of the real program in a real browser.
# tests/run has to have installed Chromium and what drives it.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --locked --test admin_page -- every_page
mkdir -p docs/images
for picture in admin-fleet admin-domain admin-phone; do
  cp "target/admin-page/$picture.png" docs/images/
done
