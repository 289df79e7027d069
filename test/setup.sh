#!/bin/sh
# Installs the programs that the end-to-end tests run against, on Debian or
# Ubuntu, and further packages that it is given. Safe to repeat; touches nothing and
# needs no network when all is there.
#
# vsftpd, ProFTPD and Pure-FTPd cannot be installed side by side, and would start
# as services: they are unpacked into $PASVPORT_TEST_CACHE/servers instead, and
# only the libraries that they link are installed.
set -eu

cache=${PASVPORT_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pasvport-test}
servers=$cache/servers

peers='openssh-server openssh-client curl lftp wget tnftp ncftp inetutils-ftp
	python3 python3-pyftpdlib gcc libc6-dev iproute2 systemd tmux'
unpacked='vsftpd proftpd-core proftpd-mod-crypto pure-ftpd pure-ftpd-common'

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# missing prints those of the given packages that are not installed.
missing() {
	for package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
			echo "$package"
	done
}

# update fetches the package lists, once.
update() {
	[ -n "${updated:-}" ] || as_root apt-get update
	updated=yes
}

# install installs packages without starting what they would start.
install() {
	[ $# -gt 0 ] || return 0
	echo "setup.sh: installing $*"
	update
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
		as_root chmod 755 $policy
		trap 'as_root rm -f $policy' EXIT
	fi
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# unpack fills the servers folder, or leaves no trace of the attempt.
unpack() {
	echo "setup.sh: unpacking $unpacked into $servers"
	update
	rm -rf "$cache/new"
	mkdir -p "$cache/new/deb" "$cache/new/tree"
	(cd "$cache/new/deb" && apt-get download $unpacked)
	for deb in "$cache"/new/deb/*.deb; do
		dpkg -x "$deb" "$cache/new/tree"
		dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed 's/|.*//; s/(.*//; s/[[:space:]]//g' |
			grep -E '^(lib|zlib)' >>"$cache/new/tree/libraries" || true
	done
	echo "$unpacked" >"$cache/new/tree/packages"
	rm -rf "$servers"
	mv "$cache/new/tree" "$servers"
	rm -rf "$cache/new"
}

command -v apt-get >/dev/null || {
	echo 'setup.sh: no apt-get here; the end-to-end tests are for Debian and Ubuntu' >&2
	exit 1
}
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # two runs at a time would fill the same folder

install $(missing $peers "$@")
# Python's own tests come in a package for each version of it.
install $(missing "$(/usr/bin/python3 -c 'import sys; print("libpython%d.%d-testsuite" % sys.version_info[:2])')")
[ "$(cat "$servers/packages" 2>/dev/null)" = "$unpacked" ] || unpack # none yet, or others
install $(missing $(sort -u "$servers/libraries"))

for server in vsftpd proftpd pure-ftpd; do
	if ldd "$servers/usr/sbin/$server" | grep 'not found'; then
		echo "setup.sh: $server lacks the libraries above; remove $servers and run this again" >&2
		exit 1
	fi
done
