# SPDX-License-Identifier: BSD-2-Clause
"""What goes wrong around a balancer: forged floods, hosts that vanish, tables that are full, files
that ask for too much. Real flows run meanwhile, and stay where they were."""
import itertools
import os
import resource

import pytest
from flood import Flood
from lab import BACKENDS, VIP4, VIP6, Counted, await_until, request_on

FLOWS = 1000
FORGED = 200_000


@pytest.fixture(autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Flows:
    """Open connections, each with the backend that answered it first."""

    def __init__(self, lab, count, vips=(VIP4, VIP6)):
        self.held = []
        for vip in itertools.islice(itertools.cycle(vips), count):
            s = lab.client.connect(vip)
            self.held.append((s, request_on(s)['backend']))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s, _ in self.held:
            s.close()

    def go_on(self):
        """Each answers, from where it did."""
        for s, backend in self.held:
            assert request_on(s)['backend'] == backend


def shop(gate='', backends=BACKENDS, more=''):
    rows = {'b1': '10.83.0.11', 'b2': '10.83.0.12', 'b3': 'fd83::13'}
    lines = '\n'.join(f'\tbackend "{b}" {{ address = "{rows[b]}" }}' for b in backends)
    return f'''gate {{ interfaces = {{ "eth0" }} {gate} }}
service "shop" {{
\tkind   = l4
\tlisten = {{ "{VIP4}:80", "[{VIP6}]:80" }}
{lines}
{more}}}
'''


@pytest.mark.parametrize('vip, count', [pytest.param(VIP4, FORGED, id='v4'),
                                        pytest.param(VIP6, FORGED // 4, id='v6')])
def test_no_flow_breaks_in_a_flood_of_forged_syns(gate, vip, count):
    with Flows(gate, FLOWS) as flows, Counted(gate.balancer) as c:
        with Flood(gate, vip, count) as flood:
            while not flood.done():
                flows.go_on()
            flood.join()
        flows.go_on()
        assert c.forward >= count
        # Of the flood nothing is remembered.
        assert c.conn_new < FLOWS and c.conn_evicted == 0


@pytest.fixture
def small(gate, config):
    """A balancer with a table that is too small for what comes."""
    gate.balancer.sluice('detach', '--all')
    gate.balancer.sluice('attach', 'eth0', '-c',
                         config(shop('max_conns = 1024 conn_rate = 2000')))
    yield gate
    gate.balancer.sluice('detach', '--all')
    gate.balancer.sluice('attach', 'eth0', '-c', 'examples/lab.conf')


def test_a_full_table_breaks_no_flow(small):
    """Packets of forged connections enter it, at a rate; who is pushed out is hashed as before."""
    with Flows(small, 100) as flows, Counted(small.balancer) as c:
        with Flood(small, VIP4, 20_000, flags='A') as flood:
            while not flood.done():
                flows.go_on()
            flood.join()
        flows.go_on()
        assert c.conn_new and c.conn_skipped


def of(flows, backend):
    return [s for s, b in flows.held if b == backend]


@pytest.fixture
def watchful(gate):
    """A balancer whose kernel looks after the neighbours that lead to backends, every five seconds;
    what it asks is answered at once, or never."""
    if not managed():
        pytest.skip('kernels before 5.16 look after no neighbours')
    quick = {'retrans_time_ms': 50, 'base_reachable_time_ms': 200, 'delay_first_probe_time': 1}
    path = '/proc/sys/net/ipv4/neigh/eth0'
    before = {k: gate.balancer.run('cat', f'{path}/{k}').stdout.strip() for k in quick}

    def put(values):
        for k, v in values.items():
            gate.balancer.run('sh', '-c', f'echo {v} >{path}/{k}')
    put(quick)
    # An entry that is there has its time already.
    gate.balancer.run('ip', 'neigh', 'flush', 'to', gate.b2.v4)
    gate.balancer.sluice('apply', '-c', 'examples/lab.conf')
    yield gate
    put(before)


def managed():
    return tuple(map(int, os.uname().release.split('.')[:2])) >= (5, 16)


def mac_of(lab, host):
    said = lab.balancer.run('ip', 'neigh', 'show', 'to', host.v4).stdout
    return said.split('lladdr ')[1].split()[0] if 'lladdr' in said else None


def test_a_neighbour_that_is_gone_takes_only_its_own_flows(watchful):
    """It answers nobody who asks for its MAC; then it does again, and has another one. No process
    of sluice's runs."""
    gate, other = watchful, '02:53:4c:00:01:0c'

    def link(*words):
        gate.b2.run('ip', 'link', 'set', 'eth0', *words)

    with Flows(gate, 30) as flows:
        mine = of(flows, 'b2')
        assert mine
        link('arp', 'off')
        try:
            with Counted(gate.balancer) as c:
                await_until(lambda: mac_of(gate, gate.b2) is None, 'the balancer misses it', 30)
                for s in mine:
                    s.sendall(b'GET / HTTP/1.1\r\nHost: lab\r\n\r\n')
                c.awaits('no_neighbor')
                for s, backend in flows.held:
                    if backend != 'b2':
                        assert request_on(s)['backend'] == backend
            link('address', other)
            link('arp', 'on')
            await_until(lambda: mac_of(gate, gate.b2) == other, 'it is found again', 30)
            # What TCP sends again arrives, and so does the answer.
            for s in mine:
                assert b'backend b2' in s.recv(4096)
            flows.go_on()
        finally:
            link('address', gate.b2.mac)
            link('arp', 'on')
    await_until(lambda: mac_of(gate, gate.b2) == gate.b2.mac, 'it is as it was', 30)


def test_neighbours_are_looked_after_while_there_are_backends(gate, config):
    def kept():
        return {line.split()[0] for line in
                gate.balancer.run('ip', 'neigh', 'show').stdout.splitlines() if 'managed' in line}
    if not managed():
        pytest.skip('kernels before 5.16 look after no neighbours')
    assert kept() == {'10.83.0.11', '10.83.0.12', 'fd83::13'}
    gate.balancer.sluice('apply', '-c', config(shop(backends=('b1',))))
    assert kept() == {'10.83.0.11'}
    gate.balancer.sluice('apply', '-c', 'examples/lab.conf')
    assert kept() == {'10.83.0.11', '10.83.0.12', 'fd83::13'}


def test_all_backends_gone_and_back(gate):
    """Drained, all of them: known flows go on, new ones have nobody, and are counted."""
    with Flows(gate, 20) as flows:
        for b in BACKENDS:
            gate.balancer.sluice('backend', 'drain', f'shop/{b}')
        try:
            with Counted(gate.balancer) as c, gate.client.socket() as s:
                s.setblocking(False)
                s.connect_ex((VIP4, 80))
                c.awaits('no_backend')
            flows.go_on()
        finally:
            for b in BACKENDS:
                gate.balancer.sluice('backend', 'enable', f'shop/{b}')
        assert gate.ask(VIP4)['backend'] in BACKENDS
        flows.go_on()


def test_a_server_that_died_is_taken_out_by_hand(gate):
    """The gate forwards, and it is the host that refuses; once drained, nobody new comes there."""
    with Flows(gate, 20) as flows:
        nginx = gate.b3.pids('nginx')
        gate.b3.run('kill', '-STOP', *nginx)
        try:
            gate.balancer.sluice('backend', 'drain', 'shop/b3')
            assert 'b3' not in {gate.ask(VIP4)['backend'] for _ in range(20)}
        finally:
            gate.b3.run('kill', '-CONT', *nginx)
            gate.balancer.sluice('backend', 'enable', 'shop/b3')
        flows.go_on()


def state(lab):
    """All that the maps hold, but what packets and time change."""
    changing = ('packets', 'bytes', 'flows', 'recent_flows')

    def lasting(row):
        return {k: v for k, v in row.items() if k not in changing}
    return [dict(lasting(s), backends=[lasting(b) for b in s['backends']])
            for s in lab.balancer.status()['services']]


@pytest.mark.parametrize('more, told', [
    (''.join(f'\tbackend "x{n}" {{ address = "10.9.{n // 250}.{n % 250 + 1}" }}\n'
             for n in range(1100)), 'at most 1024'),
    ('\tring_size = 251\n', 'too small for 3 backends'),
    ('\tforward = nat\n', 'no IPv4 address to do it from'),
    ('\tbackend "loop" { address = "198.51.100.10" }\n', 'a loop'),
], ids=['too many backends', 'a table too small', 'nat without addresses', 'a loop'])
def test_an_impossible_file_changes_nothing(gate, config, more, told):
    with Flows(gate, 6) as flows:
        before = state(gate)
        refused = gate.balancer.sluice('apply', '-c', config(shop(more=more)), check=False)
        assert refused.returncode == 1 and told in refused.stderr, refused.stderr
        assert '; ' in refused.stderr and refused.stdout == ''
        flows.go_on()
        assert state(gate) == before
