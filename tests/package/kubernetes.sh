#!/usr/bin/env bash
# The manifests of contrib/kubernetes: valid for Kubernetes' own schemas, and a pod that starts, with volumes,
# owners and modes as the kubelet makes them.
# Called by main.rs inside namespaces of its own: kubernetes.sh BINARY HOUSE FOLDER
set -euo pipefail
. "$(dirname "$0")/copy.sh"
tools=$house/target/tools/packaging/bin manifests=$house/contrib/kubernetes

for kubernetes in 1.32 1.37; do
  find "$manifests" -name '*.yaml' ! -name kustomization.yaml -print0 |
    xargs -0 "$tools/kubernetes-validate" --strict --quiet -k "$kubernetes" >validate.log 2>&1 ||
    fail "not valid for Kubernetes $kubernetes"
done

rm -rf "$copy"/etc/mta-stsd* "$copy"/var/lib/mta-stsd
words=$("$tools/python" "$house/tests/package/manifests.py" "$manifests" "$copy") || fail "the manifests do not fit together"
eval "$words"
install -m 0755 "$binary" "$copy/usr/bin/mta-stsd"
store=$copy${places[0]} secrets=$copy${places[1]}
# With fsGroup: the group owns the volume's root, and reads the secret.
install -d -m 2775 -o 0 -g "${user[1]}" "$store"
install -d -m 0755 "$secrets"
openssl rand -hex 32 | install -m 0440 -o 0 -g "${user[1]}" /dev/stdin "$secrets/store-key"

pod=(chroot --userspec="${user[0]}:${user[1]}" --groups="${user[1]}" "$copy" env -i "${environment[@]}")
"${pod[@]}" /usr/bin/mta-stsd check >check.log 2>&1 || fail "the configuration is refused"
grep -q ' 0 faults' check.log || fail "the configuration has faults"
# Nothing answers here, neither the authority nor DNS; a pod must be ready all the same.
"${pod[@]}" "${serve[@]}" >serve.log 2>&1 &
daemon=$!
eventually "the startup probe" "${pod[@]}" "${startup[@]}"
"${pod[@]}" "${ready[@]}" >/dev/null || fail "not ready"
"${pod[@]}" "${live[@]}" >/dev/null || fail "not live"
grep -q '"message":"private keys are sealed in the store"' serve.log || fail "the secret is not used"
for port in "${ports[@]}"; do
  : <"/dev/tcp/127.0.0.1/$port" || fail "nobody listens on $port"
done
kill -TERM "$daemon"
wait "$daemon" || fail "the daemon ended with $?"
if "${pod[@]}" "${live[@]}" 2>/dev/null; then fail "live when it is gone"; fi
echo "scenario passed"
