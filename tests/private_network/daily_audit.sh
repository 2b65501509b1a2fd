#!/usr/bin/env bash
# A mail host that loses STARTTLS, as the daemon's audits see it: Knot DNS, Postfix, mta-stsd.
# Called by main.rs inside namespaces of its own, as root, for Postfix changes users: daily_audit.sh BINARY FOLDER
set -euo pipefail
. "$(dirname "$0")/waiting.sh"
ask_this_host
# Looks public, so that it is dialled as any mail host.
ip address add 11.2.0.1/32 dev lo

# --- DNS
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
CONF
cat >zones/meadow.example.zone <<ZONE
\$ORIGIN meadow.example.
\$TTL 1
@        IN SOA ns.meadow.example. hostmaster.meadow.example. 1 3600 600 86400 1
@        IN NS  ns
ns       IN A   127.0.0.1
mx1      IN A   11.2.0.1
mta-sts  IN A   127.0.0.1
@        IN MX  10 mx1.meadow.example.
_smtp._tls IN TXT "v=TLSRPTv1; rua=mailto:tls@meadow.example"
ZONE
knotd -c knot.conf >knot.log 2>&1 &
eventually "Knot DNS" kdig +short @127.0.0.1 meadow.example MX

# --- the mail host, with a certificate of an authority of this network
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=Meadow Root" \
  -keyout root.key -out root.pem >openssl.log 2>&1
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=mx1.meadow.example" \
  -keyout mx.key -out mx.csr >>openssl.log 2>&1
openssl x509 -req -in mx.csr -CA root.pem -CAkey root.key -days 20 -out mx.pem \
  -extfile <(echo "subjectAltName=DNS:mx1.meadow.example") >>openssl.log 2>&1
mkdir -p postfix queue data
chown postfix data
postfix_with() { # postfix_with LEVEL
  cat >postfix/main.cf <<CF
compatibility_level = 3.6
queue_directory = $folder/queue
data_directory = $folder/data
maillog_file = $folder/mail.log
maillog_file_prefixes = /
myhostname = mx1.meadow.example
inet_protocols = ipv4
inet_interfaces = 11.2.0.1
mydestination =
smtpd_peername_lookup = no
smtpd_tls_security_level = $1
smtpd_tls_chain_files = $folder/mx.key, $folder/mx.pem
CF
}
cat >postfix/master.cf <<CF
smtp      inet  n - n - - smtpd
postlog   unix-dgram n - n - 1 postlogd
anvil     unix  - - n - 1 anvil
tlsmgr    unix  - - n 1000? 1 tlsmgr
proxymap  unix  - - n - - proxymap
rewrite   unix  - - n - - trivial-rewrite
CF
postfix_with may
postfix -c "$folder/postfix" start >postfix.log 2>&1 || fail "Postfix did not start"
greets() { exec 3<>/dev/tcp/11.2.0.1/25 && read -r -t 5 line <&3 && exec 3>&- && [[ $line == 220* ]]; }
eventually "Postfix" greets

# --- mta-stsd, with a very short day
cat >main.toml <<TOML
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
audit_every = "10s"
audit_recheck = "3s"
root_file = "root.pem"
[[tenant]]
name = "meadow"
domains = ["meadow.example"]
mx = ["mx1.meadow.example"]
mode = "enforce"
TOML
"$binary" serve --config main.toml >daemon.log 2>&1 &
daemon=$!
status() { "$binary" status meadow.example --config main.toml "$@"; }
found() { status --json | grep -q '"MX_NO_STARTTLS"'; }
raised() { grep -q "MX_NO_STARTTLS" <(status --json | tr -d ' \n' | grep -o '"code":"MX_NO_STARTTLS"[^}]*"raised":true'); }
secured() { status | grep -q "11.2.0.1 secured" && ! found; }
eventually "the first audit" secured
status | grep -q "audited" || fail "status does not say when"

postfix_with none
postfix -c "$folder/postfix" reload >>postfix.log 2>&1
eventually "the lost STARTTLS to be found" found
eventually "the finding to be raised" raised
status | grep -q "11.2.0.1 no starttls" || fail "the mail host's line does not say so"

postfix_with may
postfix -c "$folder/postfix" reload >>postfix.log 2>&1
eventually "the finding to go" secured

kill -TERM "$daemon"
wait "$daemon" || fail "the daemon ended with $?"
postfix -c "$folder/postfix" stop >>postfix.log 2>&1 || true
echo "scenario passed"
