# SPDX-License-Identifier: BSD-2-Clause
"""Watching and steering a running gate by hand, under live connections."""
import json
import shutil

import pytest
from lab import (BACKENDS, BALANCER4, BALANCER6, CLIENT4, VIP4, VIP6, await_until,
                 request_on)


def hold(lab, vip, sports):
    """Connections that stay open, each with the backend that answered on it."""
    held = []
    for sport in sports:
        s = lab.client.connect(vip, sport=sport)
        held.append((s, request_on(s)['backend']))
    return held


def release(held):
    for s, backend in held:
        assert request_on(s)['backend'] == backend
        s.close()


@pytest.fixture
def weights(gate):
    """Whatever a test sets, the file has its way afterwards."""
    yield gate
    gate.balancer.sluice('apply', '-c', 'examples/lab.conf')


def backends(lab):
    """Rows of `sluice backend list`, by name."""
    said = json.loads(lab.balancer.sluice('backend', 'list', 'shop', '--json').stdout)
    return {row['backend']: row for row in said['backends']}


@pytest.mark.parametrize('vip, first', [pytest.param(VIP4, 20000, id='v4'),
                                        pytest.param(VIP6, 20200, id='v6')])
def test_a_drained_backend_ends_without_loss(weights, vip, first):
    lab = weights
    held = hold(lab, vip, range(first, first + 30))
    assert {b for _, b in held} == set(BACKENDS)
    said = lab.balancer.sluice('backend', 'drain', 'shop/b2').stdout
    assert 'shop/b2 takes no new flows' in said
    mine = sum(b == 'b2' for _, b in held)
    assert backends(lab)['b2']['recent_flows'] >= mine
    # New ones go elsewhere, those that were there go on, on the drained one too.
    met = {lab.ask(vip, sport=sport)['backend'] for sport in range(first + 100, first + 130)}
    assert met == {'b1', 'b3'}
    release(held)
    lab.balancer.sluice('backend', 'enable', 'shop/b2')
    met = {lab.ask(vip, sport=sport)['backend'] for sport in range(first + 130, first + 160)}
    assert met == set(BACKENDS)


def test_a_weight_by_hand_moves_new_flows_alone(weights):
    lab = weights
    held = hold(lab, VIP4, range(20400, 20430))
    for b in ('b1', 'b3'):
        lab.balancer.sluice('backend', 'weight', f'shop/{b}', 0)
    met = {lab.ask(VIP4, sport=sport)['backend'] for sport in range(20430, 20450)}
    assert met == {'b2'}
    assert backends(lab)['b2']['share'] == 1
    release(held)
    assert 'weight 0 -> 1' in lab.balancer.sluice('apply', '-c', 'examples/lab.conf').stdout


def test_flows_are_those_of_the_clients(gate):
    held = hold(gate, VIP4, range(20600, 20606)) + hold(gate, VIP6, range(20600, 20606))
    flows = json.loads(gate.balancer.sluice('flows', '--json').stdout)['flows']
    listed = {(f['source'], f['source_port']): f['backend'] for f in flows if not f['stale']}
    for s, backend in held:
        assert listed[s.getsockname()[:2]] == backend
    top = json.loads(gate.balancer.sluice('flows', '--top', 2, '--json').stdout)['sources']
    assert {row['source'] for row in top} == {held[0][0].getsockname()[0],
                                              held[-1][0].getsockname()[0]}
    release(held)


def test_top_shows_who_gets_how_much(gate):
    look = gate.balancer.start('sluice', 'top', '-n', 1, '-i', 1, '--json')
    while look.ended() is None:
        gate.ask(VIP4)
    said = json.loads(look.said())
    assert said['reasons']['forward']['packets_per_second'] > 0
    shop = next(s for s in said['services'] if s['name'] == 'shop')
    parts = sum(b['packets_per_second'] for b in shop['backends'])
    assert parts == pytest.approx(shop['packets_per_second'], rel=0.01)
    assert shop['bits_per_second'] > 8 * 54 * shop['packets_per_second']


@pytest.fixture
def every_drop(gate, config):
    """Every drop is a sample, and one in one of what a capture asks for."""
    with open('examples/lab.conf', encoding='utf-8') as f:
        text = f.read().replace('gate {', 'gate {\n\tevent_every = 1', 1)
    gate.balancer.sluice('attach', 'eth0', '-c', config(text))
    yield gate
    gate.balancer.sluice('attach', 'eth0', '-c', 'examples/lab.conf')


def capture(lab, path, send, *words):
    """What tcpdump reads of a file with one packet; send() goes on until it is written."""
    taking = lab.balancer.start('sluice', 'capture', '-c', 1, '-w', path, *words)

    def taken():
        send()
        return taking.ended() is not None
    await_until(taken, 'a packet is captured')
    assert taking.ended() == 0, taking.said()
    return lab.balancer.run('tcpdump', '-n', '-e', '-r', path).stdout


@pytest.mark.skipif(not shutil.which('tcpdump', path='/usr/sbin:/usr/bin'),
                    reason='tcpdump is not installed')
def test_capture_of_drops_and_of_what_is_forwarded(every_drop, tmp_path):
    lab, path = every_drop, tmp_path / 'one.pcapng'
    lab.balancer.sluice('block', 'add', CLIENT4)
    try:
        said = capture(lab, path, lambda: lab.client.run('ping', '-c', '1', '-W', '0.01', VIP4,
                                                         check=False))
    finally:
        lab.balancer.sluice('block', 'del', CLIENT4)
    assert f'{CLIENT4} > {VIP4}: ICMP echo request' in said
    assert b'DROP block: ' in path.read_bytes()
    # Inside its tunnel, as it left.
    said = capture(lab, path, lambda: lab.ask(VIP4), '--reason', 'forward')
    assert f'{CLIENT4}.' in said and f' > {VIP4}.80' in said
    assert BALANCER4 in said or BALANCER6 in said
    assert b'TX forward: ' in path.read_bytes() and b'backend b' in path.read_bytes()
