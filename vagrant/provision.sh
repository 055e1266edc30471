#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes one machine of the lab: provision.sh NAME OCTET MAC. Runs at every boot; each step is
# safe to repeat.
set -eu
name=$1 octet=$2
mac=$(echo "$3" | sed 's/../&:/g; s/:$//')
export DEBIAN_FRONTEND=noninteractive

say() {
	echo "[$name] $*"
}

# The lab NIC, found by its address whatever the box calls it, is lab0 here.
nic=$(ip -o link | awk -F': ' -v mac="$mac" 'index($0, mac) { print $2; exit }')
[ -n "$nic" ] || { say "no NIC has the address $mac"; exit 1; }
if [ "$nic" != lab0 ]; then
	ip link set "$nic" down
	ip link set "$nic" name lab0
fi
# The tunnel to the backends adds 20 or 40 bytes; so that they fit, clients keep to 1440 toward
# the VIPs: their routes say so.
ip link set lab0 up
ip addr replace "10.83.0.$octet/24" dev lab0
ip -6 addr replace "fd83::$octet/64" dev lab0 nodad

program_here() {
	/src/build/sluice version >/dev/null 2>&1 && /src/build/sluiced --version >/dev/null 2>&1
}

install_sluice() {
	say "packages"
	/src/scripts/deps
	# A build from the host serves if it runs here; otherwise it is built here.
	program_here || { say "building"; make -C /src -s build; }
	make -C /src -s install >/dev/null
}

case $name in
client)
	command -v curl >/dev/null || { apt-get -q update && apt-get -qy install curl; } >/dev/null
	ip route replace 198.51.100.0/24 via 10.83.0.2 mtu 1440
	ip -6 route replace 2001:db8:51::/48 via fd83::2 mtu 1440
	;;
balancer)
	install_sluice
	sysctl -qw net.ipv4.conf.lab0.forwarding=1 net.ipv6.conf.lab0.forwarding=1
	cp /src/vagrant/balancer.conf /etc/sluice.conf
	say "attaching natively to $(basename "$(readlink /sys/class/net/lab0/device/driver)")"
	sluice attach lab0 -c /etc/sluice.conf
	pkill -x sluiced || :
	setsid sluiced -c /etc/sluice.conf </dev/null >/var/log/sluiced.log 2>&1 &
	;;
*)
	install_sluice
	for f in arp_ignore:1 arp_announce:2; do
		sysctl -qw "net.ipv4.conf.all.${f%:*}=${f#*:}" "net.ipv4.conf.lab0.${f%:*}=${f#*:}"
	done
	sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.lab0.rp_filter=0
	ip addr replace 198.51.100.10/32 dev lo
	ip -6 addr replace 2001:db8:51::10/128 dev lo nodad
	sed "s/\"eth0\"/\"lab0\"/" /src/examples/backend.conf >/etc/sluice.conf
	sluice attach lab0 -c /etc/sluice.conf
	cat >/etc/nginx/conf.d/lab.conf <<NGINX
server {
	listen 80 default_server; listen [::]:80 default_server;
	listen 8080; listen [::]:8080;
	default_type text/plain;
	location / { return 200 "$name saw \$remote_addr, forwarded for \$http_x_forwarded_for\n"; }
}
NGINX
	rm -f /etc/nginx/sites-enabled/default
	nginx -t -q && { nginx -s reload 2>/dev/null || nginx; }
	;;
esac
say "ready"
