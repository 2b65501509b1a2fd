#!/usr/bin/env bash
# A private Internet for the pages of the book, and a machine in it with the commands that readers have.
# Called by world.rs inside namespaces of its own: world.sh BINARY FOLDER. When all of it answers, it runs
# the commands that come on standard input.
#
# The machine is 11.1.0.10. The Internet is another network namespace, with a resolver, an authority under
# Let's Encrypt's name (Pebble), and the mail hosts of a provider and of a self-hoster (Postfix). These
# addresses look public, so nothing has to be allowed that an operator would not allow.
set -euo pipefail
binary=$1 folder=$2
cd "$folder"
export PATH="/usr/local/bin:$PATH:/usr/sbin:/sbin"
fail() { echo "the world does not come up: $*" >&2; exit 1; }
# eventually WHAT COMMAND…: asks again and again until the command succeeds, for two minutes at most
eventually() {
  local what=$1 tries=0; shift
  until "$@" >"$folder/last.out" 2>&1; do
    ((++tries < 600)) || { cat "$folder/last.out"; fail "waited in vain for: $what"; return 1; }
    sleep 0.1
  done
}

# --- two networks and a wire between them
ip link set lo up
unshare --net sleep infinity &
internet=$!
inside() { nsenter --target "$internet" --net "$@"; }
has_its_own() { # a process that is just beginning shows nothing
  local ours theirs
  ours=$(readlink /proc/self/ns/net) && theirs=$(readlink "/proc/$internet/ns/net") && [[ $theirs != "$ours" ]]
}
eventually "the other network" has_its_own
ip link add wire type veth peer name wire netns "$internet"
ip address add 11.1.0.10/32 dev wire
ip link set wire up
inside ip link set lo up
inside ip link set wire up
inside ip route add local 11.0.0.0/24 dev lo
inside ip route add 11.1.0.10/32 dev wire src 11.0.0.1
ip route add default dev wire src 11.1.0.10

# --- folders of this machine that the book names, without a trace outside
mkdir etc lib opt backups home
cp -a /etc/. etc
mount --bind etc /etc
mount --bind lib /var/lib
mount --bind opt /usr/local/bin
mount --bind backups /var/backups
mount --bind home /root
mkdir /etc/mta-stsd /etc/mta-stsd/tenants.d
mkdir -m 0700 /var/lib/mta-stsd
rm -f /etc/resolv.conf
echo "nameserver 11.0.0.53" >/etc/resolv.conf

# --- certificates: one root that this machine trusts
leaf() { # leaf FILE NAME…
  local file=$1 names; shift
  names=$(printf 'DNS:%s,' "$@")
  openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$file.key" -out "$file.crt" \
    -days 90 -subj "/CN=$1" -addext "subjectAltName=${names%,}" -addext basicConstraints=critical,CA:FALSE \
    -addext extendedKeyUsage=serverAuth -CA root.crt -CAkey root.key 2>>openssl.log || fail "openssl"
  cat "$file.key" "$file.crt" >"$file.pem"
}
openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.crt -days 3650 \
  -subj "/CN=Example Root" 2>>openssl.log
leaf authority acme-v02.api.letsencrypt.org
leaf mail mx1.example.net mx2.example.net mail.meadow.example

# --- names: the whole tree is one zone of Knot, and Unbound resolves
mkdir knot
cat >knot.conf <<CONF
server:
    rundir: $folder/knot
    listen: [ 11.0.0.54@53 ]
log:
  - target: stderr
    any: warning
database:
    storage: $folder/knot
zone:
  - domain: .
    storage: $folder
    file: root.zone
    zonefile-sync: -1
    journal-content: all
    zonefile-load: difference-no-serial
CONF
cat >root.zone <<'ZONE'
$ORIGIN .
$TTL 1
@ SOA ns.example.net. hostmaster.example.net. 1 3600 600 86400 1
@ NS ns.example.net.
ns.example.net A 11.0.0.54
acme-v02.api.letsencrypt.org A 11.0.0.14
mta-sts.example.net A 11.1.0.10
mx1.example.net A 11.0.0.25
mx2.example.net A 11.0.0.26
mail.meadow.example A 11.0.0.27
meadow.example MX 10 mail.meadow.example.
brook.example MX 10 mx1.example.net.
brook.example MX 20 mx2.example.net.
hill.example MX 10 mx1.example.net.
hill.example MX 20 mx2.example.net.
valley.example MX 10 mx1.example.net.
valley.example MX 20 mx2.example.net.
ZONE
cat >unbound.conf <<CONF
server:
  interface: 11.0.0.53
  access-control: 11.0.0.0/8 allow
  do-daemonize: no
  use-syslog: no
  do-ip6: no
  chroot: ""
  username: ""
  pidfile: ""
  directory: "$folder"
  num-threads: 1
  cache-max-ttl: 0
  cache-max-negative-ttl: 0
  module-config: "iterator"
remote-control:
  control-enable: no
stub-zone:
  name: "."
  stub-addr: 11.0.0.54
CONF
inside knotd -c knot.conf >knot.log 2>&1 &
inside unbound -d -c unbound.conf >unbound.log 2>&1 &

# --- an authority
cat >pebble.json <<JSON
{ "pebble": { "listenAddress": "11.0.0.15:443", "managementListenAddress": "11.0.0.14:15000",
  "certificate": "authority.crt", "privateKey": "authority.key", "httpPort": 80, "tlsPort": 443,
  "certificateValidityPeriod": 7776000 } }
JSON
# Its directory has another path than Let's Encrypt's and says nothing of CAA, so nginx stands in front.
cat >nginx.conf <<CONF
daemon off;
error_log stderr;
pid $folder/nginx.pid;
events {}
http {
  access_log off;
  client_body_temp_path $folder/nginx-body;
  proxy_temp_path $folder/nginx-proxy;
  fastcgi_temp_path $folder/nginx-fastcgi;
  uwsgi_temp_path $folder/nginx-uwsgi;
  scgi_temp_path $folder/nginx-scgi;
  server {
    listen 11.0.0.14:443 ssl;
    ssl_certificate $folder/authority.pem;
    ssl_certificate_key $folder/authority.pem;
    proxy_set_header Host \$host;
    location = /directory { default_type application/json; alias $folder/directory.json; }
    location / { proxy_pass https://11.0.0.15; }
  }
}
CONF
inside nginx -c "$folder/nginx.conf" -p "$folder" -e stderr >nginx.log 2>&1 &
PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 inside pebble -config pebble.json -dnsserver 11.0.0.53:53 >pebble.log 2>&1 &

# --- mail hosts
mkdir -p postfix queue data
chown postfix data
cat >postfix/main.cf <<CONF
compatibility_level = 3.6
queue_directory = $folder/queue
data_directory = $folder/data
maillog_file = $folder/mail.log
maillog_file_prefixes = /
myhostname = mx1.example.net
inet_protocols = ipv4
mydestination =
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_protocols = >=TLSv1.2
smtpd_tls_chain_files = $folder/mail.pem
CONF
cat >postfix/master.cf <<CONF
postlog unix-dgram n - n - 1 postlogd
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
rewrite unix - - n - - trivial-rewrite
11.0.0.25:25 inet n - n - - smtpd
11.0.0.26:25 inet n - n - - smtpd
11.0.0.27:25 inet n - n - - smtpd
CONF
inside postfix -c "$folder/postfix" start-fg >postfix.log 2>&1 &

eventually "Unbound and Knot" sh -c 'kdig +short +timeout=2 @11.0.0.53 brook.example MX | grep -q mx1'
pebble_says() { # through nginx its URLs have the right host
  curl --silent --fail --cacert root.crt https://acme-v02.api.letsencrypt.org/dir >dir.json
}
eventually "Pebble" pebble_says
sed 's/"meta": {/"meta": { "caaIdentities": ["letsencrypt.org"],/' dir.json >directory.json
grep -q caaIdentities directory.json || fail "Pebble's directory has changed"
greets() { [[ $(timeout 5 head -c 4 <"/dev/tcp/$1/25") == "220 " ]]; }
for address in 11.0.0.25 11.0.0.26 11.0.0.27; do eventually "Postfix" greets "$address"; done
curl --silent --fail --cacert root.crt https://acme-v02.api.letsencrypt.org:15000/roots/0 >issuing.crt || fail "Pebble's root"
cat root.crt issuing.crt >/etc/ssl/certs/ca-certificates.crt

# --- what readers type
# Commands that look at the world trust Mozilla's roots, none of which signs in here.
cat >opt/mta-stsd <<SCRIPT
#!/bin/sh
case "\$1 \$*" in
audit\ *|quickstart\ *|import\ *|records\ *--verify*) exec $binary "\$@" --ca $folder/roots.pem ;;
*) exec $binary "\$@" ;;
esac
SCRIPT
cp /etc/ssl/certs/ca-certificates.crt roots.pem
chmod 755 opt/mta-stsd

# For the hidden lines of a page, whose failures end the page: dns add|remove RECORD, the daemon, and waiting.
dns() { # dns add|remove NAME TTL TYPE DATA…
  local what=set words; [[ $1 == remove ]] && what=unset; shift
  words=("$@")
  local knotc=(knotc -c "$folder/knot.conf" -s "$folder/knot/knot.sock")
  "${knotc[@]}" zone-begin . >/dev/null
  # What is there already may be added.
  "${knotc[@]}" "zone-$what" . "${words[@]}" >"$folder/last.out" 2>&1 || true
  "${knotc[@]}" zone-commit . >/dev/null
}
# publish: adds the records that come as lines of a zone file on standard input.
publish() {
  local name ttl class kind data
  while read -r name ttl class kind data; do
    [[ $class == IN ]] && dns add "$name" "$ttl" "$kind" "$data"
  done
}
start_mta_stsd() { mta-stsd serve >>"$folder/daemon.log" 2>&1 & daemon=$!; eventually "the daemon" mta-stsd status; }
stop_mta_stsd() { kill -TERM "$daemon"; wait "$daemon" || fail "the daemon ended with $?"; }
# certified DOMAIN…: waits until each has a certificate, the authority was asked when to renew it, and its MX
# records were looked up.
certified() {
  local domain
  for domain; do
    eventually "a certificate of $domain" sees "next         renewal at" mta-stsd status "$domain"
    eventually "a look at $domain" sees "looked up 2" mta-stsd status "$domain"
  done
}
sees() { local text=$1; shift; "$@" 2>&1 | grep -qF -- "$text"; }

cd /root
export HOME=/root COLUMNS=100
set +eu +o pipefail
fail() { echo "$*"; return 1; }
printf 'the world is up\0'
status=0
give() { return "$1"; }
# Each command sees in $? what became of the one before.
while IFS= read -r -d '' -u 3 command; do
  give "$status"
  eval "$command" 2>&1
  status=$?
  printf '\0%s\0' "$status"
done 3<&0 </dev/null
