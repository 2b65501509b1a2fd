# Sourced by the scenarios with BINARY HOUSE FOLDER: makes a copy of the machine to work on.
binary=$1 house=$2 folder=$3
cd "$folder"
export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
ip link set lo up

fail() { echo "scenario failed: $*" >&2; tail -n 40 ./*.log >&2 || true; exit 1; }
# has TEXT PART…: the text has every part
has() {
  local text=$1 part; shift
  for part; do [[ $text == *"$part"* ]] || fail "$part is missing in: $text"; done
}
# eventually WHAT COMMAND…: asks again and again until the command succeeds, for two minutes at most
eventually() {
  local what=$1 tries=0; shift
  until "$@" >last.out 2>&1; do
    ((++tries < 600)) || { cat last.out >&2; fail "waited in vain for: $what"; }
    sleep 0.2
  done
}

# A copy of this machine's files: what is written goes to memory.
copy=$folder/copy
mkdir layer "$copy"
mount -t tmpfs none layer
mkdir layer/upper layer/work
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/layer/upper,workdir=$folder/layer/work" "$copy"
mount -t proc proc "$copy/proc"
mount --rbind /dev "$copy/dev"
for place in run tmp; do mount -t tmpfs none "$copy/$place"; done
inside() { chroot "$copy" "$@"; }
# Images of Debian for containers leave documentation out.
rm -f "$copy"/etc/dpkg/dpkg.cfg.d/*

# As the unit runs it: a user that is not root, with the one capability. A list, so that the program itself
# is the child that is waited for.
as_service=(chroot "$copy" setpriv --reuid=65532 --regid=65532 --clear-groups --no-new-privs
  --inh-caps=-all,+net_bind_service --ambient-caps=-all,+net_bind_service
  --bounding-set=-all,+net_bind_service)
