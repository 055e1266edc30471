# SPDX-License-Identifier: BSD-2-Clause
"""Limits of sources, with real connections. Rates are of one a second, so that a burst is all that
counts; what is over a limit is known by the gate's counters."""
import json
import select
import socket

import pytest
from conftest import start_daemon
from lab import CLIENT4, CLIENT6, SITE4, SITE6, VIP4, VIP6, Counted, await_until

FAMILIES = [pytest.param(VIP4, CLIENT4, id='v4'), pytest.param(VIP6, CLIENT6, id='v6')]
SITES = [pytest.param(SITE4, CLIENT4, id='v4'), pytest.param(SITE6, CLIENT6, id='v6')]
MANY = 20


def services(shop='', site=''):
    return f'''gate {{ interfaces = {{ "eth0" }} }}
service "shop" {{
\tkind   = l4
\tlisten = {{ "{VIP4}:80", "[{VIP6}]:80" }}
\t{shop}
\tbackend "b1" {{ address = "10.83.0.11" }}
\tbackend "b2" {{ address = "10.83.0.12" }}
}}
service "site" {{
\tkind   = l7
\tlisten = {{ "{SITE4}:80", "[{SITE6}]:80" }}
\t{site}
\tbackend "b1" {{ address = "10.83.0.11:8080" }}
}}
'''


@pytest.fixture
def running(gate, config):
    """Applies such services, and afterwards the lab's own again."""
    def apply(**limits):
        path = config(services(**limits))
        return path, gate.balancer.sluice('apply', '-c', path)
    yield apply
    gate.balancer.sluice('apply', '-c', 'examples/lab.conf')


class Openers:
    """Connections that a client asks for, all at once."""

    def __init__(self, lab, to, count=MANY):
        self.sockets = [lab.client.socket(socket.AF_INET6 if ':' in to else socket.AF_INET)
                        for _ in range(count)]
        for s in self.sockets:
            s.setblocking(False)
            s.connect_ex((to, 80))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            s.close()

    def open(self):
        """How many there are by now."""
        ready = select.select([], self.sockets, [], 0)[1]
        return sum(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 for s in ready)


def judged(lab, client):
    said = json.loads(lab.balancer.sluice('why', client, '--json').stdout)
    return said['allowed'], {(row['service'], row['counts']): row for row in said['limits']}


def allowed(lab, client):
    lab.balancer.sluice('allow', 'add', client)


@pytest.fixture(autouse=True)
def nobody_allowed(gate):
    yield
    gate.balancer.sluice('allow', 'del', CLIENT4, CLIENT6, check=False)


@pytest.mark.parametrize('vip, client', FAMILIES)
def test_connections_over_the_limit_are_dropped(gate, running, vip, client):
    running(shop='limit { connections = 1 burst = 5s }')
    with Counted(gate.balancer) as c, Openers(gate, vip) as openers:
        c.awaits('rate_connections')
        await_until(lambda: openers.open() >= 5, 'those within the limit open')
        assert openers.open() < MANY
        assert judged(gate, client)[1]['shop', 'connections']['left'] < 1
        # The others come again and again; once there is no limit for them they are let in.
        allowed(gate, client)
        await_until(lambda: openers.open() == MANY, 'all of an allowed source open')
        assert judged(gate, client)[0]


@pytest.mark.parametrize('vip, client', FAMILIES)
def test_connections_come_in_as_they_are_due(gate, running, vip, client):
    running(shop='limit { connections = 1 burst = 2s }')
    with Counted(gate.balancer) as c, Openers(gate, vip, 4) as openers:
        c.awaits('rate_connections')
        await_until(lambda: openers.open() == 4, 'the client tries again until it is its turn')


def fill(s, happened):
    """Sends on an open connection until that."""
    s.setblocking(False)

    def sent():
        try:
            s.send(b'x')
        except BlockingIOError:
            pass
        return happened()
    await_until(sent, 'what is sent is too much')


@pytest.mark.parametrize('vip, client', FAMILIES)
def test_packets_of_open_connections_count(gate, running, vip, client):
    gate.balancer.sluice('attach', '-c', 'examples/lab.conf')
    path, said = running(shop='limit { packets = 1 burst = 20s }')
    assert '~ service shop limit none -> 1 packets, burst 20s, of each /32 and /64' in said.stdout
    assert f'sluice attach -c {path} eth0' in said.stderr
    assert 'replaced without a gap' in gate.balancer.sluice('attach', '-c', path).stdout
    assert 'sluice attach' not in running(shop='limit { packets = 1 burst = 20s }')[1].stderr
    with Counted(gate.balancer) as c, gate.client.connect(vip) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fill(s, lambda: c.rate_packets)
        assert c.conn_hit
        row = judged(gate, client)[1]['shop', 'packets']
        assert row['left'] < 0.5 and row['rate'] == 1 and row['burst_ms'] == 20000
    # Without a limit again it is as before.
    gate.balancer.sluice('attach', '-c', 'examples/lab.conf')
    assert gate.ask(vip).status == 200


@pytest.mark.parametrize('vip, client', SITES)
def test_the_daemon_sees_no_connection_that_is_over(gate, running, vip, client):
    path, _ = running(site='limit { connections = 1 burst = 3s }')
    allowed(gate, client)
    start_daemon(gate, path, vip)
    gate.balancer.sluice('allow', 'del', client)
    try:
        with Counted(gate.balancer) as c, Openers(gate, vip) as openers:
            c.awaits('rate_connections')
            await_until(lambda: openers.open() >= 3, 'those within the limit open')
            assert openers.open() < MANY
            # The other service has none.
            assert gate.ask(VIP6 if ':' in vip else VIP4).status == 200
    finally:
        gate.balancer.stop_all()
