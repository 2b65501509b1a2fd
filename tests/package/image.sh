#!/usr/bin/env bash
# The image without a container runtime: the Dockerfile's own step fills it, on a copy of this machine in
# place of the builder, and then nothing but those files is there to run, read-only and not as root.
# Called by main.rs inside namespaces of its own: image.sh BINARY HOUSE FOLDER
set -euo pipefail
. "$(dirname "$0")/copy.sh"

"$house/target/tools/packaging/bin/hadolint" --no-color "$house/Dockerfile" >hadolint.log 2>&1 || fail "hadolint objects"

# --- The step that fills /image and /state, as the Dockerfile has it; the program is the one under test
step=$(sed -e ':join' -e '/\\$/{N;s/\\\n//;bjoin' -e '}' "$house/Dockerfile" | sed -n 's/^RUN \(mkdir -p \/image.*\)/\1/p')
[[ -n $step ]] || fail "the Dockerfile does not fill /image"
mkdir -p "$copy/source/target/dist"
strip -o "$copy/source/target/dist/mta-stsd" "$binary"
inside bash -o pipefail -ec "cd /source; $step" >build.log 2>&1 || fail "the image's files could not be gathered"

# --- The last stage: /image is /, /state is /var/lib and belongs to the user
user=$(sed -n 's/^USER //p' "$house/Dockerfile")
image=$folder/image
mkdir image state
mount --bind "$copy/image" image
mkdir -p image/var/lib/mta-stsd image/etc/mta-stsd
chown -R "$user" "$copy/state/mta-stsd"
cp -a "$copy/state/mta-stsd" state/
# What a runtime adds: devices, a configuration, the volume.
mkdir -p image/dev image/proc
cat >config.toml <<CONF
[acme]
directory = "internal"
[[tenant]]
name = "meadow"
domains = ["meadow.example"]
mx = ["mx1.example.net"]
CONF
install -m 0644 config.toml image/etc/mta-stsd/mta-stsd.toml
mount --rbind /dev image/dev
mount -o remount,ro,bind image
mount --bind state/mta-stsd image/var/lib/mta-stsd
files=$(find image -xdev -type f | wc -l)
((files < 12)) || fail "the image has $files files: $(find image -xdev -type f)"
! find image -xdev -name '*sh' -type f | grep . || fail "there is a shell"
touch image/file 2>/dev/null && fail "the root is not read-only"

# As a container's runtime starts it: a network of its own, in which low ports are open to everybody.
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
# The words of an instruction in exec form.
words() { sed -n "s/^$1 \[\(.*\)\]/\1/p" "$house/Dockerfile" | tr -d '",'; }
contained=(chroot --userspec="$user" --groups="" "$image")
health=$(words 'HEALTHCHECK .* CMD')
# shellcheck disable=SC2046 # lists of words
"${contained[@]}" $(words ENTRYPOINT) $(words CMD) >serve.log 2>&1 &
daemon=$!
# shellcheck disable=SC2086
eventually "the health check to be content" "${contained[@]}" $health
fetch() {
  curl --silent --show-error --fail --cacert state/mta-stsd/internal-root.pem \
    --connect-to ::127.0.0.1:443 https://mta-sts.meadow.example/.well-known/mta-sts.txt
}
eventually "the policy" fetch
has "$(fetch)" "mx: mx1.example.net"
grep -q '^CapEff:.*0000000000000000' "/proc/$daemon/status" || fail "it has capabilities"
kill -TERM "$daemon"
wait "$daemon" || fail "the daemon ended with $?"
# shellcheck disable=SC2086
if "${contained[@]}" $health 2>/dev/null; then fail "the health check is content with nothing"; fi
echo "scenario passed"
