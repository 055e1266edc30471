# SPDX-License-Identifier: BSD-2-Clause
"""Replacing the program while traffic runs: no packet is lost, no flow changes its backend."""
import contextlib
import re
import socket
import threading

import pytest
from lab import BACKENDS, VIP4, VIP6, await_until, request_on

SO_RCVBUFFORCE = 33  # Linux's; not in the module socket
CONF = open('examples/lab.conf', encoding='utf-8').read()


@pytest.fixture
def builds(config):
    """Two configurations whose programs differ, as those of two releases do."""
    return [config(CONF.replace('gate {', f'gate {{\n\tevent_every = {n}'), f'{n}.conf')
            for n in (32, 128)]


@pytest.mark.parametrize('vip', [VIP4, VIP6])
def test_no_packet_is_lost_while_programs_are_replaced(gate, builds, vip):
    held = [gate.client.connect(VIP4) for _ in range(20)]
    owners = [request_on(s)['backend'] for s in held]
    seen = set()
    while len(seen) < 4:
        pings = gate.client.start('ping', '-q', '-c', '1000', '-i', '0.002', '-W', '1', vip)
        while pings.ended() is None:
            for conf in builds:
                gate.balancer.sluice('attach', 'eth0', '-c', conf)
                seen.add(gate.balancer.programs()['eth0'])
        assert re.search(r'1000 packets transmitted, 1000 received', pings.said()), pings.said()
    assert [request_on(s)['backend'] for s in held] == owners
    for s in held:
        s.close()


DATAGRAMS = f'''
service "datagrams" {{
\tkind   = l4
\tlisten = {{ "{VIP4}:5353", "[{VIP6}]:5353" }}
\tproto  = {{ udp }}
\tbackend "b1" {{ address = "10.83.0.11" }}
\tbackend "b2" {{ address = "10.83.0.12" }}
\tbackend "b3" {{ address = "fd83::13" }}
}}
'''


class Stream(threading.Thread):
    """Datagrams to a VIP, one a millisecond and each numbered, from many ports until it is told to
    stop."""

    def __init__(self, lab, vip):
        super().__init__()
        family = socket.AF_INET6 if ':' in vip else socket.AF_INET
        self.inboxes = [lab.hosts[b].socket(family, socket.SOCK_DGRAM) for b in BACKENDS]
        for inbox in self.inboxes:
            inbox.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            inbox.bind((vip, 5353))
            inbox.setblocking(False)
        self.senders = [lab.client.socket(family, socket.SOCK_DGRAM) for _ in range(20)]
        for sender in self.senders:
            sender.connect((vip, 5353))
        self.sent, self.ending, self.arrived = 0, threading.Event(), set()

    def run(self):
        while not self.ending.wait(0.001):
            self.senders[self.sent % len(self.senders)].send(b'%d' % self.sent)
            self.sent += 1

    def missing(self):
        for inbox in self.inboxes:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.arrived.add(int(inbox.recv(20)))
        return set(range(self.sent)) - self.arrived

    def end(self):
        self.ending.set()
        self.join()
        await_until(lambda: not self.missing(), f'those are lost of {self.sent}: {self.missing()}')
        for s in self.inboxes + self.senders:
            s.close()


@pytest.mark.parametrize('vip', [VIP4, VIP6])
def test_no_forwarded_datagram_is_lost_while_programs_are_replaced(gate, config, vip):
    builds = [config(CONF.replace('gate {', f'gate {{\n\tevent_every = {n}') + DATAGRAMS,
                     f'd{n}.conf') for n in (32, 128)]
    gate.balancer.sluice('apply', '-c', builds[0])
    stream = Stream(gate, vip)
    # While a neighbour is asked for, what is sent there is dropped.
    for backend in ('10.83.0.11', '10.83.0.12', 'fd83::13'):
        gate.balancer.run('ping', '-c', '1', backend)
    seen = set()
    stream.start()
    try:
        while len(seen) < 6:
            for conf in builds:
                gate.balancer.sluice('attach', 'eth0', '-c', conf)
                seen.add(gate.balancer.programs()['eth0'])
    finally:
        stream.end()
    assert stream.sent > 100
    gate.balancer.sluice('attach', 'eth0', '-c', 'examples/lab.conf')
    gate.balancer.sluice('apply', '-c', 'examples/lab.conf')


def test_counters_and_lists_outlive_a_replacement(gate, builds):
    gate.balancer.sluice('block', 'add', '203.0.113.0/24')
    gate.ask(VIP4)
    before = gate.balancer.counts()['forward']
    for conf in builds:
        gate.balancer.sluice('attach', 'eth0', '-c', conf)
    assert gate.balancer.counts()['forward'] >= before > 0
    assert '203.0.113.0/24' in gate.balancer.sluice('block', 'list').stdout


def test_a_replaced_program_is_gone(gate, builds):
    """Nothing is left of the old one: neither attached nor pinned."""
    def gates():
        return gate.balancer.run('bpftool', 'net').stdout.count('eth0(')

    def pins_there():
        """The dispatcher's folder is named by its id."""
        return re.sub(r'dispatch-\d+-\d+', 'dispatch',
                      gate.balancer.run('find', '/sys/fs/bpf').stdout)
    gate.balancer.sluice('attach', 'eth0', '-c', builds[0])
    attached, pins = gates(), pins_there()
    gate.balancer.sluice('attach', 'eth0', '-c', builds[1])
    assert gates() == attached
    assert pins_there() == pins
