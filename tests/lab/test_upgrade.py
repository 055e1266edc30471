# SPDX-License-Identifier: BSD-2-Clause
"""Replacing the program while traffic runs: no packet is lost, no flow changes its backend."""
import re

import pytest
from lab import VIP4, VIP6, request_on

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
