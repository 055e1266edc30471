# SPDX-License-Identifier: BSD-2-Clause
# For the guest's own tests: counting checks, and three hosts on real virtio NICs. The guest
# itself is the balancer (eth0); client (eth1) and backend (eth2) are namespaces.
PATH=$BUILD:$PATH
passed=0 failed=0 hosts= nics=

check() { # "what is expected" COMMAND...
	what=$1
	shift
	if "$@" >/run/check 2>&1; then
		passed=$((passed + 1))
		echo "  ok      $what"
	else
		failed=$((failed + 1))
		echo "  FAILED  $what"
		sed 's/^/          /' /run/check | tail -20
	fi
}

fails() {
	! "$@"
}

says() { # PATTERN COMMAND...: its output has the pattern
	pattern=$1
	shift
	"$@" 2>&1 | tee /run/says | grep -Eq "$pattern" || {
		cat /run/says
		return 1
	}
}

# Everything that runs in the hosts ends, so that their NICs come back for the next group.
hosts_end() {
	for host in $hosts; do
		eval "pid=\$$host"
		ns=$(readlink "/proc/$pid/ns/net")
		for p in /proc/[0-9]*; do
			[ "$(readlink "$p/ns/net" 2>/dev/null)" != "$ns" ] || kill -9 "${p#/proc/}" 2>/dev/null || :
		done
	done
	for nic in $nics; do
		timeout 20 sh -c "until ip link show $nic >/dev/null 2>&1; do sleep 0.1; done"
	done
	ip addr flush dev eth0
}

finish() {
	hosts_end
	echo "$passed passed, $failed failed, 0 skipped"
	[ "$failed" = 0 ]
	exit
}

# A host: a process with its own network and mount namespace and its own bpffs.
host_new() { # NAME NIC
	rm -f "/run/host-$1"
	unshare -n -m sh -c 'mount -t sysfs sysfs /sys && mount -t bpf bpf /sys/fs/bpf &&
		: >/run/host-'"$1"' && exec sleep infinity' &
	eval "$1=\$!"
	until [ -e "/run/host-$1" ]; do sleep 0.05; done
	hosts="$hosts $1" nics="$nics $2"
	eval "ip link set $2 netns \$$1"
}

on() { # HOST COMMAND...
	eval "pid=\$$1"
	shift
	nsenter -t "$pid" -n -m "$@"
}

address() { # HOST NIC OCTET ("" as HOST: the guest itself)
	run=
	[ -z "$1" ] || run="on $1"
	$run ip link set lo up
	$run ip link set "$2" up
	$run ip addr add "10.83.0.$3/24" dev "$2"
	$run ip -6 addr add "fd83::$3/64" dev "$2" nodad
}
