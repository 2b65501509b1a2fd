# Sourced by the scenarios with BINARY and FOLDER: goes to the folder, and says how to fail and to wait.
binary=$1 folder=$2
cd "$folder"
export PATH="$PATH:/usr/sbin:/sbin"
ip link set lo up

fail() { echo "scenario failed: $*" >&2; tail -n 40 ./*.log >&2 || true; exit 1; }
# eventually WHAT COMMAND…: asks again and again until the command succeeds, for two minutes at most
eventually() {
  local what=$1 tries=0; shift
  until "$@" >last.out 2>&1; do
    ((++tries < 600)) || { cat last.out >&2; fail "waited in vain for: $what"; }
    sleep 0.2
  done
}

# Only this scenario's DNS is asked from here on.
ask_this_host() {
  echo "nameserver 127.0.0.1" >resolv.conf
  mount --bind resolv.conf /etc/resolv.conf
}
