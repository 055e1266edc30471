# SPDX-License-Identifier: BSD-2-Clause
"""L4: a client, the gate on the balancer, backends that unwrap and answer directly."""
import collections
import re
import socket

import pytest
from lab import (BACKENDS, CLIENT4, CLIENT6, VIP4, VIP6, Counted, await_until, read_all,
                 request_on)


def ports(block, count=100):
    """Source ports of a test's own, so that no flow is met again by a later test. The hash is
    the same on every machine: they take the same way in every run."""
    return range(10000 + 200 * block, 10000 + 200 * block + count)


FAMILIES = [pytest.param(VIP4, CLIENT4, id='v4'), pytest.param(VIP6, CLIENT6, id='v6')]

THREE = {'b1': ('10.83.0.11', 1), 'b2': ('10.83.0.12', 2), 'b3': ('fd83::13', 1)}


def shop(backends, proto='tcp', port=80, more=''):
    """A configuration with one service and these backends: name to (address, weight)."""
    rows = '\n'.join(f'\tbackend "{name}" {{ address = "{address}"  weight = {weight} }}'
                     for name, (address, weight) in backends.items())
    return f'''gate {{ interfaces = {{ "eth0" }} }}
service "shop" {{
\tkind   = l4
\tlisten = {{ "{VIP4}:{port}", "[{VIP6}]:{port}" }}
\tproto  = {{ {proto} }}
{more}
{rows}
}}
'''


@pytest.fixture
def running(gate, config):
    """Applies other configurations, and afterwards the lab's own again."""
    def apply(backends, **kw):
        return gate.balancer.sluice('apply', '-c', config(shop(backends, **kw))).stdout
    yield apply
    gate.balancer.sluice('apply', '-c', 'examples/lab.conf')


def spread(lab, vip, sports):
    """Who answered, for each source port."""
    return {sport: lab.ask(vip, sport=sport)['backend'] for sport in sports}


@pytest.mark.parametrize('vip, client', FAMILIES)
def test_every_backend_answers_with_the_clients_address_preserved(gate, vip, client):
    answers = [gate.ask(vip, sport=sport) for sport in ports(0)]
    assert {a['backend'] for a in answers} == set(BACKENDS)
    assert {a['from'] for a in answers} == {client}
    assert {a['to'].removesuffix(':80') for a in answers} == {vip}


@pytest.mark.parametrize('vip, client', FAMILIES)
def test_shares_follow_the_weights(gate, vip, client):
    shares = collections.Counter(spread(gate, vip, ports(1, 120)).values())
    total = sum(shares.values())
    assert shares['b2'] == max(shares.values())
    for backend, weight in (('b1', 1), ('b2', 2), ('b3', 1)):
        assert 0.5 * weight / 4 < shares[backend] / total < 1.5 * weight / 4, shares


def predicted(lab, sport, vip=VIP4, client=CLIENT4):
    """What `sluice flow` says."""
    name = (lambda a: f'[{a}]') if ':' in vip else str
    said = lab.balancer.sluice('flow', f'{name(client)}:{sport}', f'{name(vip)}:80').stdout
    named = re.findall(r'^backend +(b[123])\b', said, re.M)
    assert len(named) == 1, said
    return named[0]


@pytest.mark.parametrize('vip, client', FAMILIES)
def test_flow_predicts_the_backend(gate, vip, client):
    for sport in ports(2, 12):
        foretold = predicted(gate, sport, vip, client)
        assert gate.ask(vip, sport=sport)['backend'] == foretold
        # Now it is in the connection table, which must not change the answer.
        assert predicted(gate, sport, vip, client) == foretold


def test_the_same_flow_takes_the_same_way_again(gate):
    first = spread(gate, VIP4, ports(3, 20))
    assert spread(gate, VIP4, ports(3, 20)) == first


@pytest.mark.parametrize('vip, client', FAMILIES)
def test_full_sized_segments_fit_the_tunnel_both_ways(gate, vip, client):
    body = b'y' * 300_000
    for sport in ports(4, 8):
        with gate.client.connect(vip, sport=sport) as s:
            s.sendall(b'POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n'
                      b'Content-Length: %d\r\n\r\n' % len(body) + body)
            assert b'backend b' in read_all(s)
        assert len(gate.ask(vip, path='/size/1000000', sport=sport + 100).body) == 1_000_000


@pytest.mark.parametrize('vip, client', FAMILIES)
def test_udp_is_balanced_too(gate, running, vip, client):
    running(THREE, proto='tcp, udp', port=5353)
    family = socket.AF_INET6 if ':' in vip else socket.AF_INET
    servers = {}
    for b in BACKENDS:
        servers[b] = gate.hosts[b].socket(family, socket.SOCK_DGRAM)
        servers[b].bind((vip, 5353))
        servers[b].setblocking(False)
    reached = collections.Counter()
    with gate.client.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((vip, 5353))
        probe.send(b'hello')
        await_until(lambda: any(got(s, client) for s in servers.values()), 'a datagram arrives')
    for sport in ports(5, 60):
        with gate.client.socket(family, socket.SOCK_DGRAM) as s:
            s.bind(('::' if ':' in vip else '0.0.0.0', sport))
            s.sendto(b'hello', (vip, 5353))
            reached[await_until(lambda: next((b for b in servers if got(servers[b], client)),
                                             None), f'the datagram from port {sport}')] += 1
    for s in servers.values():
        s.close()
    assert set(reached) == set(BACKENDS)


def got(server, client):
    """True when a datagram from the client's own address is there."""
    try:
        payload, sender = server.recvfrom(100)
    except BlockingIOError:
        return False
    assert payload == b'hello' and sender[0] == client
    return True


def test_a_port_without_service_is_the_hosts_own(gate):
    with Counted(gate.balancer) as c:
        with pytest.raises(ConnectionRefusedError):
            gate.client.connect('10.83.0.2', 4321)
    c.awaits('no_service')
    assert c.forward == 0


def test_packets_of_a_known_flow_hit_the_connection_table(gate):
    with gate.client.connect(VIP4) as s:
        request_on(s)
        with Counted(gate.balancer) as c:
            for _ in range(5):
                request_on(s)
        c.awaits('conn_hit', 5)
        assert c.conn_miss == 0


def hold(lab, sports, vip=VIP4):
    """Connections that stay open, each with the backend that answered on it."""
    held = []
    for sport in sports:
        s = lab.client.connect(vip, sport=sport)
        held.append((s, request_on(s)['backend']))
    return held


def unchanged(held):
    for s, backend in held:
        assert request_on(s)['backend'] == backend
        s.close()


def test_connections_survive_other_weights(gate, running):
    held = hold(gate, ports(6, 40))
    changes = running({**THREE, 'b1': ('10.83.0.11', 5), 'b2': ('10.83.0.12', 1)})
    assert changes.strip()
    unchanged(held)


def test_connections_survive_an_added_backend(gate, running):
    running({b: THREE[b] for b in ('b1', 'b2')})
    held = hold(gate, ports(7, 40))
    running(THREE)
    unchanged(held)
    assert 'b3' in spread(gate, VIP4, ports(9, 20)).values()


def test_weight_zero_drains(gate, running):
    held = hold(gate, ports(8, 40))
    assert 'b2' in {b for _, b in held}
    running({**THREE, 'b2': ('10.83.0.12', 0)})
    assert set(spread(gate, VIP4, ports(10)).values()) == {'b1', 'b3'}
    unchanged(held)


def test_a_removed_backend_gets_nothing_more(gate, running):
    before = {p: predicted(gate, p) for p in ports(11, 60)}
    held = hold(gate, ports(12, 20))
    running({b: THREE[b] for b in ('b1', 'b3')})
    after = spread(gate, VIP4, ports(11, 60))
    assert set(after.values()) == {'b1', 'b3'}
    moved = [p for p in before if before[p] != 'b2' and before[p] != after[p]]
    assert len(moved) <= 0.05 * len(before), 'consistent hashing moves only what it must'
    for s, backend in held:
        if backend != 'b2':
            assert request_on(s)['backend'] == backend
        s.close()


def test_a_returned_backend_does_not_inherit_old_flows(gate, running):
    """Its id may be used again; entries of the id's earlier life must not be."""
    with gate.client.connect(VIP4, sport=14000) as s:
        owner = request_on(s)['backend']
    other = next(b for b in BACKENDS if b != owner)
    running({other: THREE[other]})
    running(THREE)
    assert gate.ask(VIP4, sport=14000)['backend'] == owner


def test_no_backend_is_counted(gate, running):
    running({'b1': ('10.83.0.11', 0)})
    with Counted(gate.balancer) as c:
        with gate.client.socket() as s:
            s.setblocking(False)
            s.connect_ex((VIP4, 80))
            c.awaits('no_backend')


def test_a_backend_that_is_not_there_is_counted_and_the_others_serve(gate, running):
    running({**THREE, 'b2': ('10.83.0.99', 2)})
    with Counted(gate.balancer) as c:
        answered = set()
        for sport in ports(13, 16):
            with gate.client.socket() as s:
                s.settimeout(0.3)
                s.bind(('0.0.0.0', sport))
                if s.connect_ex((VIP4, 80)) == 0:
                    answered.add(request_on(s)['backend'])
        assert answered == {'b1', 'b3'}
        c.awaits('no_neighbor')


@pytest.mark.parametrize('vip, client', FAMILIES)
def test_the_vip_answers_pings_at_the_gate(gate, vip, client):
    with Counted(gate.balancer) as c:
        gate.client.run('ping', '-c', '3', '-i', '0.01', '-W', '2', vip)
    c.awaits('echo', 3)


def test_status_names_services_backends_and_counts(gate):
    spread(gate, VIP4, ports(14, 10))
    text = gate.balancer.sluice('status').stdout
    for word in ('eth0', 'native', 'shop', 'site', 'b1', 'b2', 'b3', VIP4, '10.83.0.12'):
        assert word in text, text


def test_why_explains_and_counts(gate):
    gate.ask(VIP4)
    text = gate.balancer.sluice('why', '--all').stdout
    line = next(l for l in text.splitlines() if re.search(r'\bforward\b', l))
    assert 'sent to a backend' in line and re.search(r'\b[1-9]', line), text


@pytest.mark.parametrize('vip, client', FAMILIES)
@pytest.mark.parametrize('mode, block', [('gue', 31), ('l2', 32)])
def test_other_ways_to_the_backends(gate, running, mode, block, vip, client):
    assert f'forward ipip -> {mode}' in running(THREE, more=f'\tforward = {mode}')
    with Counted(gate.b1) as at_b1:
        answers = [gate.ask(vip, sport=sport) for sport in ports(block)]
    assert {a['backend'] for a in answers} == set(BACKENDS)
    assert {a['from'] for a in answers} == {client}
    assert (at_b1.decap > 0) == (mode == 'gue')
    assert f'(l4 {mode})' in gate.balancer.sluice('status').stdout


@pytest.mark.parametrize('vip, client', FAMILIES)
def test_all_of_a_clients_connections_to_one_backend(gate, running, vip, client):
    assert 'hash 5tuple -> src' in running(THREE, more='\thash = src')
    met = spread(gate, vip, ports(33, 40))
    assert len(set(met.values())) == 1
    assert predicted(gate, ports(33)[0], vip, client) == met[ports(33)[0]]


@pytest.fixture
def narrow(gate):
    """The balancer's wire takes no more than the client's: no room for a tunnel around a full
    packet. The lab's own gives 100 bytes more."""
    gate.balancer.run('ip', 'link', 'set', 'eth0', 'mtu', '1500')
    yield gate
    gate.balancer.run('ip', 'link', 'set', 'eth0', 'mtu', '1600')
    gate.client.run('ip', 'route', 'flush', 'cache')


@pytest.mark.parametrize('vip, client', FAMILIES)
def test_what_a_tunnel_makes_too_big_is_answered(narrow, vip, client):
    """The client's own stack learns the size that fits, and the upload goes on with that. The
    gate remembers the wire as it was for a moment."""
    def upload():
        with narrow.client.connect(vip) as s:
            body = b'z' * 100_000
            s.sendall(b'POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n'
                      b'Content-Length: %d\r\n\r\n' % len(body) + body)
            return b'backend b' in read_all(s)

    with Counted(narrow.balancer) as c:
        await_until(lambda: upload() and c.too_big_told, 'a packet is answered with its size')
    learnt = narrow.client.run('ip', 'route', 'get', vip).stdout
    assert 'mtu 1480' in learnt or 'mtu 1460' in learnt
