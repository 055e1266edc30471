# SPDX-License-Identifier: BSD-2-Clause
"""Full NAT: backends that know nothing of sluice, and see the balancer's address."""
import re
import socket

import pytest
from lab import (BALANCER4, BALANCER6, CLIENT4, CLIENT6, VIP4, VIP6, await_until, read_all,
                 request_on)

FAMILIES = [pytest.param(VIP4, BALANCER4, id='v4'), pytest.param(VIP6, BALANCER6, id='v6')]


@pytest.fixture(scope='module')
def nat(lab):
    """The gate of examples/nat.conf on the balancer, and none on the backends, which have lost
    the VIPs too."""
    for b in ('b1', 'b2', 'b3'):
        lab.hosts[b].run('ip', 'addr', 'flush', 'dev', 'lo', 'to', VIP4)
        lab.hosts[b].run('ip', '-6', 'addr', 'flush', 'dev', 'lo', 'to', VIP6)
    lab.balancer.sluice('attach', 'eth0', '-c', 'examples/nat.conf')
    yield lab
    lab.detach()


def flow_said(lab, vip, sport):
    """`sluice flow` of a client's connection."""
    name = (lambda a: f'[{a}]') if ':' in vip else str
    client = CLIENT6 if ':' in vip else CLIENT4
    return lab.balancer.sluice('flow', f'{name(client)}:{sport}', f'{name(vip)}:80').stdout


@pytest.mark.parametrize('vip, source', FAMILIES)
def test_backends_see_the_balancer_and_clients_the_vip(nat, vip, source):
    answers = [nat.ask(vip, sport=sport) for sport in range(11000, 11060)]
    assert {a['backend'] for a in answers} == {'b1', 'b2'}
    assert {a['from'] for a in answers} == {source}
    assert {a['to'].rsplit(':', 1)[1] for a in answers if a['backend'] == 'b1'} == {'8080'}
    assert {a['to'].rsplit(':', 1)[1] for a in answers if a['backend'] == 'b2'} == {'80'}


@pytest.mark.parametrize('vip, source', FAMILIES)
def test_large_bodies_both_ways(nat, vip, source):
    body = b'y' * 300_000
    for sport in range(11100, 11104):
        with nat.client.connect(vip, sport=sport) as s:
            s.sendall(b'POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n'
                      b'Content-Length: %d\r\n\r\n' % len(body) + body)
            assert b'backend b' in read_all(s)
        assert len(nat.ask(vip, path='/size/1000000', sport=sport + 10).body) == 1_000_000


@pytest.mark.parametrize('vip, source', FAMILIES)
def test_what_the_cli_says_of_a_flow(nat, vip, source):
    foretold = re.search(r'^backend +(b[12])\b', flow_said(nat, vip, 11200), re.M)[1]
    with nat.client.connect(vip, sport=11200) as s:
        assert request_on(s)['backend'] == foretold
        said = flow_said(nat, vip, 11200)
        assert re.search(r'nat has the flow, from \[?' + re.escape(source), said), said
        assert '11200' in nat.balancer.sluice('flows').stdout


def test_a_flow_stays_when_its_backend_is_drained(nat):
    with nat.client.connect(VIP4, sport=11300) as s:
        backend = request_on(s)['backend']
        nat.balancer.sluice('backend', 'drain', f'shop/{backend}')
        assert request_on(s)['backend'] == backend
        said = nat.balancer.sluice('backend', 'list').stdout
        row = next(line for line in said.splitlines() if f'shop/{backend}' in line
                   or line.split()[:1] == [backend])
        assert re.search(r'\b[1-9]\d*\b', row), said
        assert {nat.ask(VIP4, sport=sport)['backend'] for sport in range(11310, 11330)} == \
            {'b1', 'b2'} - {backend}
    nat.balancer.sluice('backend', 'enable', f'shop/{backend}')


def test_datagrams(nat):
    servers = []
    for b in ('b1', 'b2'):
        servers.append(nat.hosts[b].socket(socket.AF_INET, socket.SOCK_DGRAM))
        servers[-1].bind((nat.hosts[b].v4, 53))
        servers[-1].settimeout(0.05)
    with nat.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((VIP4, 53))
        s.send(b'question')

        def answered():
            for server in servers:
                try:
                    data, who = server.recvfrom(100)
                except TimeoutError:
                    continue
                assert who[0] == BALANCER4
                server.sendto(data + b' and answer', who)
                return True
            return False
        await_until(answered, 'the datagram came')
        assert s.recv(100) == b'question and answer'
    for server in servers:
        server.close()


@pytest.mark.parametrize('vip, at', [pytest.param(VIP4, '10.83.0.11:81', id='v4'),
                                     pytest.param(f'[{VIP6}]', '[fd83::11]:81', id='v6')])
def test_a_refused_connection_is_refused(nat, config, vip, at):
    """The RST of a backend that does not listen comes back, in the VIP's name."""
    nat.balancer.sluice('apply', '-c', config(
        'gate { interfaces = { "eth0" } nat_source = { "10.83.0.2", "fd83::2" } }\n'
        f'service "shop" {{ kind = l4 forward = nat listen = {{ "{vip}:80" }}\n'
        f'backend "b1" {{ address = "{at}" }} }}\n'))
    with pytest.raises(ConnectionRefusedError):
        nat.client.connect(vip.strip('[]'), sport=11400)
    nat.balancer.sluice('apply', '-c', 'examples/nat.conf')


def test_the_balancers_own_connections_and_pings_go_on(nat):
    """Its address is nat's source too."""
    nat.client.run('ping', '-c', '1', '-W', '5', BALANCER4)
    nat.client.run('ping', '-c', '1', '-W', '5', BALANCER6)
    with nat.balancer.connect('10.83.0.11', 8080) as s:
        assert request_on(s)['backend'] == 'b1'


def test_more_sources_than_the_gate_was_attached_for(nat, config):
    path = config('gate { interfaces = { "eth0" } nat_source = { "10.83.0.2", "10.83.0.5", '
                  '"fd83::2" } }\nservice "shop" { kind = l4 forward = nat listen = { '
                  f'"{VIP4}:80" }} backend "b1" {{ address = "10.83.0.11:8080" }} }}\n')
    refused = nat.balancer.sluice('apply', '-c', path, check=False)
    assert refused.returncode != 0
    assert '`sluice attach` with this file makes another' in refused.stderr
    assert nat.ask(VIP4, sport=11500).status == 200  # nothing changed

    nat.balancer.run('ip', 'addr', 'add', '10.83.0.5/32', 'dev', 'eth0')
    nat.balancer.sluice('attach', 'eth0', '-c', path)
    answers = [nat.ask(VIP4, sport=sport) for sport in range(11510, 11570)]
    assert {a['from'] for a in answers} == {'10.83.0.2', '10.83.0.5'}
