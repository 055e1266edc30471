# SPDX-License-Identifier: BSD-2-Clause
"""Frames that no ordinary program sends, from the client's wire to the balancer's gate."""
import pytest
from lab import (BACKENDS, BALANCER4, BALANCER6, CLIENT4, CLIENT6, VIP4, VIP6, Counted,
                 await_until, request_on)
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import (ICMPv6PacketTooBig, IPv6, IPv6ExtHdrDestOpt,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

STRANGER4, STRANGER6 = '10.83.0.66', 'fd83::66'  # nobody has these; blocked in this module


@pytest.fixture(scope='module')
def wire(gate):
    """The client's eth0. Its stack knows nothing of these flows and would reset them."""
    gate.balancer.sluice('block', 'add', STRANGER4, STRANGER6)
    with gate.client.wire() as wire:
        yield wire


@pytest.fixture
def ether(gate):
    return Ether(src=gate.client.mac, dst=gate.balancer.mac)


def owner(lab, vip, sport):
    """An open connection, the backend that has it, and the sequence number that it is at:
    a stack believes only errors that quote a packet which it may have sent."""
    with lab.client.wire() as sniffer:
        s = lab.client.connect(vip, sport=sport)
        answer = request_on(s)
        start = sniffer.expect(lambda f: TCP in f and f[TCP].dport == sport and f[TCP].flags.S,
                               'the SYN-ACK')
    return s, lab.hosts[answer['backend']], (start[TCP].seq + 1 + answer.size) % 2**32


def test_frag_needed_reaches_the_owner_of_the_quoted_flow(gate, wire, ether):
    s, backend, seq = owner(gate, VIP4, 30001)
    quote = bytes(IP(src=VIP4, dst=CLIENT4, flags='DF', len=1500) /
                  TCP(sport=80, dport=30001, seq=seq))[:28]
    with s, backend.wire() as there, Counted(gate.balancer) as c:
        wire.send(ether / IP(src='10.83.0.77', dst=VIP4) / ICMP(type=3, code=4, nexthopmtu=1300) /
                  Raw(quote))
        there.expect(lambda f: ICMP in f and f[IP].src == '10.83.0.77' and f[ICMP].type == 3,
                     'the ICMP error')
        c.awaits('icmp_forward')
        await_until(lambda: 'mtu 1300' in backend.run('ip', 'route', 'get', CLIENT4).stdout,
                    'the backend believes it')
    backend.run('ip', 'route', 'flush', 'cache')


def test_packet_too_big_reaches_the_owner_of_the_quoted_flow(gate, wire, ether):
    s, backend, seq = owner(gate, VIP6, 30002)
    quote = bytes(IPv6(src=VIP6, dst=CLIENT6, plen=1440) /
                  TCP(sport=80, dport=30002, seq=seq))[:60]
    with s, backend.wire() as there, Counted(gate.balancer) as c:
        wire.send(ether / IPv6(src='fd83::77', dst=VIP6) / ICMPv6PacketTooBig(mtu=1300) / Raw(quote))
        there.expect(lambda f: ICMPv6PacketTooBig in f and f[IPv6].src == 'fd83::77',
                     'the ICMPv6 error')
        c.awaits('icmp_forward')
        await_until(lambda: 'mtu 1300' in backend.run('ip', 'route', 'get', CLIENT6).stdout,
                    'the backend believes it')
    backend.run('ip', '-6', 'route', 'flush', 'cache')


def test_an_error_that_quotes_nothing_of_ours_is_dropped(gate, wire, ether):
    quote = bytes(IP(src=CLIENT4, dst='10.83.0.9') / UDP(sport=1, dport=2))[:28]
    with Counted(gate.balancer) as c:
        wire.send(ether / IP(src='10.83.0.77', dst=VIP4) / ICMP(type=3, code=4) / Raw(quote))
        c.awaits('icmp_quote')


def test_other_icmp_to_an_l4_vip_is_dropped(gate, wire, ether):
    with Counted(gate.balancer) as c:
        wire.send(ether / IP(src=CLIENT4, dst=VIP4) / ICMP(type=13))
        c.awaits('icmp_other')


# ---- fragments --------------------------------------------------------------------------

def test_fragments_for_a_vip_are_dropped(gate, wire, ether):
    with Counted(gate.balancer) as c:
        first = IP(src=CLIENT4, dst=VIP4, flags='MF', id=7) / TCP(dport=80) / Raw(b'x' * 4)
        later = IP(src=CLIENT4, dst=VIP4, frag=4, id=7, proto=17) / Raw(b'x' * 32)
        v6 = (IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(offset=4, nh=17, id=7) /
              Raw(b'x' * 32))
        for packet in (first, later, v6):
            wire.send(ether / packet)
        c.awaits('fragment', 3)


@pytest.mark.parametrize('host', [BALANCER4, BALANCER6])
def test_the_hosts_own_fragments_pass(gate, host):
    with Counted(gate.balancer) as c:
        gate.client.run('ping', '-c', '2', '-i', '0.01', '-s', '4000', '-W', '2', host)
    assert c.fragment == 0


# ---- nothing dodges the blocklist -------------------------------------------------------

DODGES = {
    'plain': lambda v4, v6: v4 / TCP(dport=80),
    'plain v6': lambda v4, v6: v6 / TCP(dport=80),
    'one VLAN tag': lambda v4, v6: Dot1Q(vlan=5) / v4 / TCP(dport=80),
    'two VLAN tags': lambda v4, v6: Dot1AD(vlan=5) / Dot1Q(vlan=6) / v4 / TCP(dport=80),
    'VLAN and v6': lambda v4, v6: Dot1Q(vlan=5) / v6 / TCP(dport=80),
    'IP options': lambda v4, v6: with_options(v4) / TCP(dport=80),
    'hop-by-hop': lambda v4, v6: v6 / IPv6ExtHdrHopByHop() / TCP(dport=80),
    'destination options': lambda v4, v6: v6 / IPv6ExtHdrDestOpt() / UDP(dport=53),
    'a fragment': lambda v4, v6: with_fields(v4, frag=4, proto=17) / Raw(b'x' * 32),
    'another protocol': lambda v4, v6: with_fields(v4, proto=99) / Raw(b'x' * 32),
    'an echo request': lambda v4, v6: v4 / ICMP(),
}


def with_options(v4):
    return with_fields(v4, options=[IPOption(b'\x01\x01\x01\x00')])


def with_fields(v4, **fields):
    v4 = v4.copy()
    for name, value in fields.items():
        setattr(v4, name, value)
    return v4


@pytest.mark.parametrize('name', DODGES)
@pytest.mark.parametrize('to', ['vip', 'host'])
def test_a_blocked_source_is_dropped_whatever_it_wears(gate, wire, name, to):
    v4 = IP(src=STRANGER4, dst=VIP4 if to == 'vip' else BALANCER4)
    v6 = IPv6(src=STRANGER6, dst=VIP6 if to == 'vip' else BALANCER6)
    with Counted(gate.balancer) as c:
        packet = DODGES[name](v4, v6)
        frame = Ether(src=gate.client.mac, dst=gate.balancer.mac)
        wire.send(frame / packet)
        c.awaits('block')


# ---- headers are walked, and bounded ----------------------------------------------------

def test_a_syn_with_ip_options_is_forwarded(gate, wire, ether):
    with Counted(gate.balancer) as c:
        wire.send(ether / with_options(IP(src=CLIENT4, dst=VIP4)) / TCP(sport=31001, dport=80))
        c.awaits('forward')


def test_a_syn_behind_extension_headers_is_forwarded(gate, wire, ether):
    with Counted(gate.balancer) as c:
        wire.send(ether / IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() /
                  TCP(sport=31002, dport=80))
        c.awaits('forward')


def test_endless_extension_headers_for_a_vip_are_dropped(gate, wire, ether):
    packet = IPv6(src=CLIENT6, dst=VIP6)
    for _ in range(40):
        packet /= IPv6ExtHdrDestOpt()
    with Counted(gate.balancer) as c:
        wire.send(ether / packet / TCP(dport=80))
        c.awaits('ext_headers')


ODD = {
    'land': lambda: IP(src=VIP4, dst=VIP4) / TCP(sport=80, dport=80),
    'martian': lambda: IP(src='127.0.0.1', dst=VIP4) / TCP(dport=80),
    'ttl': lambda: IP(src=CLIENT4, dst=VIP4, ttl=1) / TCP(dport=80),
    'not_ip': lambda: Raw(b'x' * 46),
}


@pytest.mark.parametrize('reason', ODD)
def test_odd_packets_have_their_reason(gate, wire, reason):
    kind = {'type': 0x88cc} if reason == 'not_ip' else {}
    with Counted(gate.balancer) as c:
        wire.send(Ether(src=gate.client.mac, dst=gate.balancer.mac, **kind) / ODD[reason]())
        c.awaits(reason)


def test_what_does_not_fit_the_tunnels_path_is_counted(gate, wire, ether):
    """A forwarding kernel heeds a route's MTU only when it is locked; so does the gate."""
    routes = [['ip', 'route'], '10.83.0.11'], [['ip', 'route'], '10.83.0.12'], \
        [['ip', '-6', 'route'], 'fd83::13']
    for ip, backend in routes:
        gate.balancer.run(*ip, 'add', backend, 'dev', 'eth0', 'mtu', 'lock', '1500')
    try:
        with Counted(gate.balancer) as c:
            packet = IP(src=CLIENT4, dst=VIP4, flags='DF') / TCP(sport=33000, dport=80, flags='A')
            wire.send(ether / packet / Raw(b'x' * 1400))
            c.awaits('forward')
            wire.send(ether / packet / Raw(b'x' * 1460))
            c.awaits('too_big_told')
            packet[IP].flags = 0
            wire.send(ether / packet / Raw(b'x' * 1460))
            c.awaits('too_big')
    finally:
        for ip, backend in routes:
            gate.balancer.run(*ip, 'del', backend, 'dev', 'eth0')


def test_dropped_packets_show_up_as_events(gate, wire, ether):
    """One of 64 is sampled: 64 of them hold at least one."""
    events = gate.balancer.start('sluice', 'events')
    with Counted(gate.balancer) as c:
        def shown():
            for sport in range(64):
                wire.send(ether / IP(src=STRANGER4, dst=VIP4) / TCP(sport=sport, dport=80))
            assert events.ended() is None, events.said()
            return STRANGER4 in events.said() and 'block' in events.said()
        await_until(shown, 'an event names the stranger')
        assert c.block >= 64
    events.kill()


def test_frames_cut_anywhere_harm_nobody(gate, wire, ether):
    whole = [bytes(ether / Dot1Q(vlan=5) / with_options(IP(src=CLIENT4, dst=VIP4)) /
                   TCP(dport=80)),
             bytes(ether / IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrHopByHop() / TCP(dport=80)),
             bytes(ether / IP(src=CLIENT4, dst=VIP4) / ICMP(type=3, code=4) /
                   Raw(bytes(IP(src=VIP4, dst=CLIENT4) / TCP(sport=80))[:28]))]
    with Counted(gate.balancer) as c:
        for frame in whole:
            for cut in range(14, len(frame)):
                wire.send(frame[:cut])
        c.awaits('truncated', 10)
    gate.client.run('ping', '-c', '1', '-W', '2', BALANCER4)
    assert gate.ask(VIP4)['backend'] in BACKENDS


# ---- tunnels are unwrapped for configured balancers only --------------------------------

FORGED = {
    'IPv4 in IPv4': lambda b: IP(src=CLIENT4, dst=b.v4) / IP(src='10.9.9.9', dst=VIP4) /
    TCP(sport=1, dport=80, flags='S'),
    'IPv6 in IPv4': lambda b: IP(src=CLIENT4, dst=b.v4, proto=41) / IPv6(src='fd99::9', dst=VIP6) /
    TCP(sport=1, dport=80, flags='S'),
    'IPv4 in IPv6': lambda b: IPv6(src=CLIENT6, dst=b.v6, nh=4) / IP(src='10.9.9.9', dst=VIP4) /
    TCP(sport=1, dport=80, flags='S'),
    'IPv6 in IPv6': lambda b: IPv6(src=CLIENT6, dst=b.v6, nh=41) / IPv6(src='fd99::9', dst=VIP6) /
    TCP(sport=1, dport=80, flags='S'),
}


@pytest.mark.parametrize('name', FORGED)
def test_a_tunnel_from_anybody_else_is_not_unwrapped(gate, wire, name):
    b1 = gate.b1
    with Counted(b1) as c:
        wire.send(Ether(src=gate.client.mac, dst=b1.mac) / FORGED[name](b1))
        c.awaits('tunnel_foreign')
    assert c.decap == 0


def test_the_balancers_tunnel_is_unwrapped(gate):
    with Counted(gate.b1) as b1, Counted(gate.b2) as b2, Counted(gate.b3) as b3:
        for sport in range(32000, 32012):
            gate.ask(VIP4, sport=sport)
        for c in (b1, b2, b3):
            c.awaits('decap')


def test_a_balancers_tunnel_with_half_a_packet_is_dropped(gate):
    """From the balancer's own address, as only it (or who can forge it there) can send."""
    with gate.balancer.wire() as wire, Counted(gate.b1) as c:
        inner = bytes(IP(src=CLIENT4, dst=VIP4) / TCP(dport=80))
        wire.send(Ether(src=gate.balancer.mac, dst=gate.b1.mac) /
                  IP(src=BALANCER4, dst=gate.b1.v4, proto=4) / Raw(inner[:12]))
        c.awaits('decap_bad')
