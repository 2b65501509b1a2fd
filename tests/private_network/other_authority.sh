#!/usr/bin/env bash
# An authority that is not Pebble: Caddy's, which validates on the real ports 443 and 80 only.
# Called by main.rs inside namespaces of its own: other_authority.sh BINARY FOLDER
set -euo pipefail
. "$(dirname "$0")/waiting.sh"
export HOME="$folder" XDG_DATA_HOME="$folder/data" XDG_CONFIG_HOME="$folder/config"
ask_this_host

# --- DNS: two policy hosts, both here
mkdir -p zones knot-run
cat >knot.conf <<CONF
server:
    rundir: $folder/knot-run
    listen: [ 127.0.0.1@53 ]
    user: $(id -un):$(id -gn)
database:
    storage: $folder/knot-run
zone:
  - domain: meadow.example
    storage: $folder/zones
    file: meadow.example.zone
  - domain: example
    storage: $folder/zones
    file: example.zone
CONF
# The look before an order climbs up to the top for CAA records, so there is a top that answers.
cat >zones/example.zone <<'ZONE'
$ORIGIN example.
$TTL 60
@      IN SOA ns.meadow.example. hostmaster.meadow.example. 1 3600 600 86400 60
@      IN NS  ns.meadow.example.
meadow IN NS  ns.meadow.example.
ns.meadow IN A 127.0.0.1
ZONE
cat >zones/meadow.example.zone <<'ZONE'
$ORIGIN meadow.example.
$TTL 60
@             IN SOA ns.meadow.example. hostmaster.meadow.example. 1 3600 600 86400 60
@             IN NS  ns
ns            IN A   127.0.0.1
mta-sts       IN A   127.0.0.1
mta-sts.upper IN A   127.0.0.1
ZONE
knotd -c knot.conf >knot.log 2>&1 &
eventually "Knot DNS" sh -c 'kdig +short @127.0.0.1 mta-sts.meadow.example A | grep -q 127.0.0.1'

# --- the authority
cat >caddy.json <<JSON
{ "admin": { "disabled": true },
  "storage": { "module": "file_system", "root": "$folder/caddy" },
  "apps": {
    "pki": { "certificate_authorities": { "local": { "install_trust": false } } },
    "tls": { "certificates": { "automate": ["127.0.0.1"] },
             "automation": { "policies": [ { "subjects": ["127.0.0.1"], "issuers": [ { "module": "internal" } ] } ] } },
    "http": { "http_port": 8080, "https_port": 9443, "servers": { "acme": {
      "listen": ["127.0.0.1:9443"], "automatic_https": { "disable": true },
      "tls_connection_policies": [ { "default_sni": "127.0.0.1" } ],
      "routes": [ { "handle": [ { "handler": "acme_server", "ca": "local" } ] } ] } } } } }
JSON
caddy run --config caddy.json >caddy.log 2>&1 &
root=$folder/caddy/pki/authorities/local/root.crt
directory=https://127.0.0.1:9443/acme/local/directory
eventually "Caddy" curl --silent --fail --cacert "$root" "$directory"

# --- mta-stsd
config() { # config CHALLENGE DOMAIN…
  cat <<TOML
[listen]
https = ["127.0.0.1:443"]
http = ["127.0.0.1:80"]
[store]
directory = "state"
[acme]
challenges = ["$1"]
[[acme.authority]]
directory = "$directory"
terms_of_service_agreed = true
root_file = "$root"
[dns]
servers = ["127.0.0.1:53"]
[admin]
socket = "admin.sock"
[cross_check]
enabled = false
[publish]
addresses = ["127.0.0.1"]
[[tenant]]
name = "meadow"
domains = [$2]
mx = ["mx1.meadow.example"]
mode = "testing"
TOML
}
serve() { "$binary" serve --config main.toml >>daemon.log 2>&1 & daemon=$!; }
policy_of() { curl --silent --fail --cacert "$root" --connect-to ::127.0.0.1:443 "https://$1/.well-known/mta-sts.txt"; }
certificate_of() { openssl s_client -connect 127.0.0.1:443 -servername "$1" </dev/null 2>/dev/null | openssl x509 -noout -serial -issuer; }

config tls-alpn-01 '"meadow.example"' >main.toml
serve
eventually "a certificate by TLS-ALPN-01" policy_of mta-sts.meadow.example
first=$(certificate_of mta-sts.meadow.example)
[[ $first == *"Caddy Local Authority"* ]] || fail "not the authority's certificate: $first"

# --- a restart, the other challenge, and the same account
kill -TERM "$daemon"
wait "$daemon" || fail "the daemon ended with $?"
config http-01 '"meadow.example", "upper.meadow.example"' >main.toml
serve
eventually "a certificate by HTTP-01" policy_of mta-sts.upper.meadow.example
(($(grep -c "account registered" daemon.log) == 1)) || fail "a restart made another account"
kill -TERM "$daemon"
wait "$daemon" || fail "the daemon ended with $?"
echo "scenario passed"
