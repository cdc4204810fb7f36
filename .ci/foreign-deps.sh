#!/bin/sh
# Installs the servers of others that `make test-foreign` probes. None of them is started, now or at the next start of the
# machine, and nothing is removed for them; what cannot be had is left out, and the test says so.
set -eu
cd "$(dirname "$0")/.."
say() { printf 'foreign-deps: %s\n' "$*"; }

if ! command -v apt-get >/dev/null; then
	say 'this system has no apt-get: only servers that are installed already are probed' >&2
	exit 0
fi
as_root=''
if [ "$(id -u)" -ne 0 ]; then
	as_root=sudo
	command -v sudo >/dev/null || { say 'neither root nor sudo: only servers that are installed already are probed' >&2; exit 0; }
fi
installed() { dpkg-query --show --showformat '${db:Status-Abbrev}${Package}\n' | sed -n 's/^ii *//p' | sort; }

before=$(mktemp) after=$(mktemp) made_policy=''
finish() {
	[ -z "$made_policy" ] || $as_root rm -f /usr/sbin/policy-rc.d
	rm -f "$before" "$after"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

installed >"$before"
packages=$(python3 harness/tests/foreign/run.py --packages | comm -23 - "$before")
[ -n "$packages" ] || exit 0
say "installing" $packages

# scripts of packages ask this file whether they may start a service
if [ ! -e /usr/sbin/policy-rc.d ]; then
	made_policy=yes
	printf '#!/bin/sh\nexit 101\n' | $as_root tee /usr/sbin/policy-rc.d >/dev/null
	$as_root chmod 755 /usr/sbin/policy-rc.d
fi
install() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove "$@" >/dev/null
}
$as_root apt-get update -qq
if ! install $packages; then
	for package in $packages; do
		install "$package" || say "$package cannot be installed" >&2
	done
fi

# nor does a server that came along begin to serve when the machine starts the next time
if [ -d /run/systemd/system ]; then
	installed | comm -13 "$before" - | xargs -r dpkg -L | grep -E '/systemd/system/[^/@]+\.(service|socket|timer)$' >"$after" || true
	sed 's|.*/||' "$after" | sort -u | xargs -r $as_root systemctl --quiet disable || true
fi
