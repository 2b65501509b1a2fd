#!/usr/bin/env bash
# The life of the Debian package on a copy of this machine.
# Called by main.rs inside namespaces of its own: debian.sh BINARY HOUSE FOLDER
set -euo pipefail
. "$(dirname "$0")/copy.sh"

# --- Build, with the program that the tests are run with, and a newer one with another configuration
export CARGO_TARGET_DIR=$folder/target PATH="$house/target/tools/bin:$PATH"
mkdir -p target/dist
strip -o target/dist/mta-stsd "$binary"
"$house/contrib/deb.sh" --built --offline --fast --compress-system -o "$folder/one.deb" >build.log 2>&1 || fail "no package"
dpkg-deb --raw-extract one.deb newer
version=$(dpkg-deb --field one.deb Version)
sed -i "s/^Version: .*/Version: $version.1/" newer/DEBIAN/control
sed -i '1i # Said since the newer version.' newer/etc/mta-stsd/mta-stsd.toml
dpkg-deb --build --root-owner-group -Zgzip -z1 newer two.deb >>build.log
cp one.deb two.deb "$copy/root/"

# --- Install
rm -rf "$copy"/etc/mta-stsd "$copy"/var/lib/mta-stsd "$copy"/usr/bin/mta-stsd
inside dpkg --install /root/one.deb >install.log 2>&1 || fail "not installed"
has "$(inside mta-stsd --version)" "mta-stsd ${version%-*}"
for unit in "$house"/systemd/*; do [[ -f $copy/usr/lib/systemd/system/${unit##*/} ]] || fail "no ${unit##*/}"; done
# The shipped configuration has no fault, and the whole example can be read.
inside mta-stsd check >check.log 2>&1 || fail "the first configuration is refused"
inside mta-stsd check --config /usr/share/doc/mta-stsd/examples/config.example.toml >check.log 2>&1 ||
  fail "the example is refused"

# Every command has its page, which man reads without a complaint.
has "$(inside man -E UTF-8 -P cat mta-stsd)" "MTA-STSD(8)" "mta-stsd-certificate(8)"
for page in "$copy"/usr/share/man/man8/mta-stsd*; do
  complaints=$(inside man --warnings -E UTF-8 -l -Tutf8 -Z "${page#"$copy"}" 2>&1 >/dev/null)
  [[ -z $complaints ]] || fail "${page##*/}: $complaints"
done
# Each shell completes.
completed=$(inside bash -c '. /usr/share/bash-completion/completions/mta-stsd
  COMP_WORDS=(mta-stsd cer) COMP_CWORD=1 how=$(complete -p mta-stsd)
  how=${how#*-F } && ${how%% *} mta-stsd cer mta-stsd; echo "${COMPREPLY[*]}"')
[[ $completed == "certificate certificates" ]] || fail "bash completes: $completed"
completed=$(inside fish -c 'complete -C "mta-stsd cer"')
has "$completed" "certificates"
has "$(inside zsh -fc 'autoload -U compinit; compinit -D; print $_comps[mta-stsd]')" "_mta-stsd"

# systemd understands the units; 252 does not know notify-reload yet.
for unit in "$house"/systemd/*; do
  said=$(inside systemd-analyze verify --man=no "/usr/lib/systemd/system/${unit##*/}" 2>&1 |
    grep -v 'Failed to parse service type, ignoring: notify-reload' || true)
  [[ -z $said ]] || fail "systemd on ${unit##*/}: $said"
done

# --- Serve, from the shipped configuration with the sample customer
etc=$copy/etc/mta-stsd state=$copy/var/lib/mta-stsd
cp "$etc/tenants.d/meadow.toml.example" "$etc/tenants.d/meadow.toml"
install -d -m 0700 -o 65532 -g 65532 "$state"
fetch() {
  curl --silent --show-error --fail --cacert "$state/internal-root.pem" --connect-to ::127.0.0.1:443 \
    https://mta-sts.meadow.example/.well-known/mta-sts.txt
}
stop() { kill -TERM "$daemon"; wait "$daemon" || fail "the daemon ended with $?"; }
serve() {
  "${as_service[@]}" mta-stsd serve >>serve.log 2>&1 &
  daemon=$!
}
serve
eventually "the policy" fetch
has "$(fetch)" "version: STSv1" "mx: mx1.example.net"
has "$(inside mta-stsd health)" "live"
has "$(inside mta-stsd status meadow.example)" "meadow.example"
inside mta-stsd certificate show meadow.example | grep -i serial >serial.one || fail "no certificate"
stop
# As `systemctl enable` does.
ln -s /usr/lib/systemd/system/mta-stsd.service "$copy/etc/systemd/system/multi-user.target.wants/mta-stsd.service"

# --- Upgrade: what the operator wrote stays, the newer configuration lies beside it
echo '# Mine.' >>"$etc/mta-stsd.toml"
cp "$etc/mta-stsd.toml" mine
# Where systemd runs, what runs is started anew and nothing else; this one writes down what it is told.
mkdir -p "$copy/run/systemd/system"
mv "$copy/usr/bin/systemctl" "$copy/usr/bin/systemctl.real"
printf '#!/bin/sh\necho "$*" >>/run/told\n[ "$*" != "--quiet is-enabled -- mta-stsd.service" ]\n' >"$copy/usr/bin/systemctl"
chmod +x "$copy/usr/bin/systemctl"
rm -f "$copy/usr/sbin/policy-rc.d"
inside dpkg --force-confdef --force-confold --install /root/two.deb >install.log 2>&1 || fail "not upgraded"
told=$(cat "$copy/run/told")
has "$told" "daemon-reload" "try-restart mta-stsd.service"
[[ $told != *stop* && $told != *enable\ * && $told != *.socket* ]] || fail "an upgrade told systemd: $told"
cmp mine "$etc/mta-stsd.toml" || fail "an edit was lost"
grep -q 'Said since' "$etc/mta-stsd.toml.dpkg-dist" || fail "the newer configuration is not there"
serve
eventually "the policy of the newer version" fetch
inside mta-stsd certificate show meadow.example | grep -i serial >serial.two
cmp serial.one serial.two || fail "another certificate after the upgrade"
stop

# --- Remove: the program goes, what is the operator's stays
: >"$copy/run/told"
inside dpkg --remove mta-stsd >install.log 2>&1 || fail "not removed"
stopped=$(grep '^stop ' "$copy/run/told") || fail "nothing was stopped"
for unit in "$house"/systemd/*; do has " $stopped " " ${unit##*/} "; done
[[ ! -e $copy/usr/bin/mta-stsd && ! -e $copy/usr/lib/systemd/system/mta-stsd.service ]]
[[ -f $state/mta-stsd.db && -f $etc/mta-stsd.toml && -f $etc/tenants.d/meadow.toml ]] || fail "removed too much"

# --- Purge: the store goes as well, and nothing that the operator added
mkdir -p "$copy/var/lib/private/mta-stsd"
inside dpkg --purge mta-stsd >install.log 2>&1 || fail "not purged"
[[ ! -e $state && ! -e $copy/var/lib/private/mta-stsd && ! -e $etc/mta-stsd.toml ]] || fail "left behind"
[[ -f $etc/tenants.d/meadow.toml ]] || fail "a customer's file was taken"
! find "$copy/etc/systemd" "$copy/var/lib/systemd" -name 'mta-stsd*' | grep . || fail "still enabled"

# --- And without systemd, from nothing
rm -rf "$copy/run/systemd" "$etc"
mv "$copy/usr/bin/systemctl.real" "$copy/usr/bin/systemctl"
for step in "--install /root/two.deb" "--purge mta-stsd"; do
  # shellcheck disable=SC2086 # two words
  inside dpkg $step >install.log 2>&1 || fail "$step without systemd"
done
[[ ! -e $etc ]] || fail "left behind: $(ls -R "$etc")"
echo "scenario passed"
