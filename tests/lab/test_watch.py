# SPDX-License-Identifier: BSD-2-Clause
"""Watching and steering a running gate by hand, under live connections."""
import json

import pytest
from lab import BACKENDS, VIP4, VIP6, request_on


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
