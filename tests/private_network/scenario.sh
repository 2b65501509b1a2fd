#!/usr/bin/env bash
# A private Internet on one loopback: Knot DNS on 53, mta-stsd on 443, postfix-mta-sts-resolver as sender.
# Called by main.rs inside namespaces of its own: scenario.sh BINARY FOLDER
set -euo pipefail
. "$(dirname "$0")/waiting.sh"
ask_this_host

# --- DNS
mkdir -p zones knot-run
cat >knot.conf <<CONF
server:
    rundir: $folder/knot-run
    listen: [ 127.0.0.1@53 ]
    user: $(id -un):$(id -gn)
log:
  - target: stderr
    any: info
database:
    storage: $folder/knot-run
zone:
  - domain: meadow.example
    storage: $folder/zones
    file: meadow.example.zone
CONF
zone() { # zone SERIAL MX INDICATOR
  cat >zones/meadow.example.zone <<ZONE
\$ORIGIN meadow.example.
\$TTL 1
@        IN SOA ns.meadow.example. hostmaster.meadow.example. $1 3600 600 86400 1
@        IN NS  ns
ns       IN A   127.0.0.1
mx1      IN A   127.0.0.1
mta-sts  IN A   127.0.0.1
@        IN MX  10 $2
$3
ZONE
}
zone 1 mx1.meadow.example. ""
knotd -c knot.conf >knot.log 2>&1 &
reload_zone() { knotc -c "$folder/knot.conf" -s "$folder/knot-run/knot.sock" zone-reload meadow.example; }
eventually "Knot DNS" kdig +short @127.0.0.1 meadow.example MX

# --- mta-stsd
cat >mta-stsd.toml <<TOML
[listen]
https = ["127.0.0.1:443"]
http = ["127.0.0.1:80"]
[store]
directory = "state"
[acme]
directory = "internal"
[admin]
socket = "admin.sock"
[cross_check]
period = "1m"
[publish]
addresses = ["127.0.0.1"]
TOML
tenant() { printf '[[tenant]]\nname = "meadow"\ndomains = ["meadow.example"]\nmx = ["mx1.meadow.example"]\nmode = "%s"\n' "$1"; }
{ cat mta-stsd.toml; tenant testing; } >main.toml
"$binary" serve --config main.toml >daemon.log 2>&1 &
daemon=$!
status() { "$binary" status meadow.example --config main.toml; }
certificate_held() { status | grep -q "valid until"; }
eventually "a certificate" certificate_held

# --- the TXT record comes last, and is what `records` says
indicator() { "$binary" records meadow.example --config main.toml | grep ' IN TXT '; }
zone 2 mx1.meadow.example. "$(indicator)"
reload_zone >/dev/null
export SSL_CERT_FILE="$folder/state/internal-root.pem"
query() { mta-sts-query meadow.example "$@"; }
valid() { query "$@" | tee query.out | grep -q "STSFetchResult.VALID"; }
eventually "the sender to accept the policy" valid
grep -q "'mode': 'testing'" query.out || fail "not the policy that was written: $(cat query.out)"
first_id=$(indicator | sed 's/.*id=\([^;]*\);.*/\1/')
query "$first_id" | grep -q NOT_CHANGED || fail "the id in DNS is not the id of the policy"

# --- an edit: another body, another id, and the sender sees both
{ cat mta-stsd.toml; tenant enforce; } >main.toml.new && mv main.toml.new main.toml
[[ $(indicator) != *"$first_id"* ]] || fail "the id did not change with the policy"
zone 3 mx1.meadow.example. "$(indicator)"
reload_zone >/dev/null
enforced() { query "$first_id" | grep -q "'mode': 'enforce'"; }
eventually "the sender to see the edit" enforced

# --- the MX records move away from the policy, and back
covered() { ! status | grep -q MX_NOT_IN_POLICY && status | grep -q "looked up 2"; }
uncovered() { status | grep -q "MX_NOT_IN_POLICY"; }
eventually "the first cross-check" covered
zone 4 elsewhere.meadow.example. "$(indicator)"
reload_zone >/dev/null
eventually "the moved MX to be found" uncovered
status | grep -q "elsewhere.meadow.example" || fail "the finding does not name the host"
zone 5 mx1.meadow.example. "$(indicator)"
reload_zone >/dev/null
eventually "the finding to go" covered

# --- DNS away: nothing is taken for an absence, and the policy is served
kill %1 && wait %1 || true
curl --silent --fail --cacert state/internal-root.pem --connect-to ::127.0.0.1:443 \
  https://mta-sts.meadow.example/.well-known/mta-sts.txt | grep -q "mode: enforce" || fail "not served without DNS"
kill -TERM "$daemon"
wait "$daemon" || fail "the daemon ended with $?"
echo "scenario passed"
