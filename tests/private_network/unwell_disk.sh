#!/usr/bin/env bash
# A store on a small disk of its own that becomes full, then read-only: unwell_disk.sh BINARY FOLDER
# Called by main.rs inside namespaces of its own.
set -euo pipefail
. "$(dirname "$0")/waiting.sh"
mkdir disk tenants.d
mount -t tmpfs -o size=4m,mode=755 tmpfs disk
cat >main.toml <<TOML
tenants = "tenants.d/*.toml"
[listen]
https = ["127.0.0.1:443"]
http = []
[store]
directory = "disk/state"
[acme]
directory = "internal"
[cross_check]
enabled = false
TOML
tenant() {
  printf '[[tenant]]\nname = "%s"\ndomains = ["%s.example"]\nmx = ["mx.%s.example"]\n' "$1" "$1" "$1" >"tenants.d/$1.toml"
}
start() { "$binary" serve --config main.toml >daemon.log 2>&1 & daemon=$!; }
stop() { kill -TERM "$daemon"; wait "$daemon" || fail "the daemon ended with $?"; }
crash() { kill -KILL "$daemon"; wait "$daemon" || true; }
status() { "$binary" status --config main.toml; }
says() { status | grep -q "$1"; }
logged() { grep -q "$1" daemon.log; }
served() {
  curl --silent --fail --max-time 10 --cacert root.pem --connect-to ::127.0.0.1:443 \
    "https://mta-sts.$1.example/.well-known/mta-sts.txt" | grep -q "mx: mx.$1.example"
}
orders() { grep -c "certificate issued" daemon.log || true; }
fill() { dd if=/dev/zero of=disk/fill bs=4k status=none 2>/dev/null || true; }

# --- a filled store
tenant meadow
start
eventually "the root" cp disk/state/internal-root.pem root.pem
eventually "the first certificate" served meadow

# --- two daemons do not share it
sed 's/:443/:8443/' main.toml >second.toml
echo '[admin]' >>second.toml
echo 'socket = "second.sock"' >>second.toml
code=0
"$binary" serve --config second.toml >second.log 2>&1 || code=$?
[[ $code == 70 ]] && grep -q "another mta-stsd works with" second.log || fail "a second daemon: $code, $(cat second.log)"

# --- full while it runs: serving goes on, nothing is ordered, the status says why
fill
tenant brook
eventually "the trouble in the status" says "trouble: no orders while the store cannot be written"
served meadow || fail "not served on a full disk"
[[ $(orders) == 1 ]] || fail "ordered on a full disk"

# --- full at start, after a crash and after an orderly stop; it heals by itself
for end in crash stop; do
  "$end"
  fill
  start
  eventually "the start on a full disk after a $end" served meadow
  eventually "the trouble in the status" says "octets are free"
  [[ $(orders) == 0 ]] || fail "ordered on a full disk after a $end"
done
rm disk/fill
eventually "the order to be placed when there is room" served brook
! says "trouble:" || fail "still in trouble: $(status)"

# --- read-only at start, after a crash and after an orderly stop
for end in crash stop; do
  "$end"
  mount -o remount,ro disk
  tenant "hill-$end"
  start
  eventually "the start on a read-only disk after a $end" served meadow
  served brook || fail "not everything is served after a $end"
  eventually "the refusal" logged "store cannot be used, no orders are placed"
  [[ $(orders) == 0 ]] || fail "ordered on a read-only disk after a $end"
  mount -o remount,rw disk
  eventually "the status socket when there is a disk for it" status
  # An edit makes the scheduler look at once rather than within the minute.
  tenant "lake-$end"
  eventually "the orders to be placed when the disk can be written" served "lake-$end"
  eventually "what waited for the disk" served "hill-$end"
  ! says "trouble:" || fail "still in trouble: $(status)"
done
! grep -q "panicked" daemon.log || fail "a panic"
stop
echo "scenario passed"
