# SPDX-License-Identifier: BSD-2-Clause
"""Backends with names: their addresses are found, followed and kept."""
import os
import signal
import subprocess
import threading

import pytest
from actors import SLUICED, answers, await_until, free_port, get, ok
from nameserver import A, AAAA, NameServer, answer

SLUICE = os.path.join(os.path.dirname(SLUICED), 'sluice')
NAME = 'origin.example.net'


@pytest.fixture
def server(stage):
    return stage.add(NameServer(ttl=0))


def named(name):
    return answers(ok(name.encode()))


def same_port(stage, *hosts):
    """An origin on each of the addresses, all at the same port; each answers with its address."""
    port = free_port()
    return [stage.origin(named(host), host=host, port=port) for host in hosts], port


def resolver(server, more='', ttl='100ms'):
    return f'resolver {{ servers = {{ "{server.address}" }}  min_ttl = {ttl}  {more} }}\n'


def proxy_of(stage, server, *backends, top='', **named_arguments):
    state = stage.folder / 'state'
    return stage.proxy(*backends, top=top or resolver(server), daemon=f'state = "{state}"',
                       **named_arguments)


def bodies(proxy, n=12):
    return {proxy.ask().body.decode() for _ in range(n)}


def becomes(proxy, *hosts):
    await_until(lambda: bodies(proxy) == set(hosts), f'requests go to {hosts}')


def health_of(stage, *words):
    return subprocess.run([SLUICE, 'health', '--state', stage.folder / 'state', *words], text=True,
                          capture_output=True, check=True).stdout


# ---- addresses ---------------------------------------------------------------------------

def test_all_addresses_of_both_families(stage, server):
    _, port = same_port(stage, '127.0.0.2', '127.0.0.3', '::1')
    server.give(NAME, '127.0.0.2', '127.0.0.3', '::1')
    proxy = proxy_of(stage, server, f'{NAME}:{port}')
    becomes(proxy, '127.0.0.2', '127.0.0.3', '::1')
    proxy.awaits(f'name={NAME} addresses=')


@pytest.mark.parametrize('family, host', [('ipv4', '127.0.0.2'), ('ipv6', '::1')])
def test_one_family(stage, server, family, host):
    _, port = same_port(stage, '127.0.0.2', '::1')
    server.give(NAME, '127.0.0.2', '::1')
    proxy = proxy_of(stage, server, (f'{NAME}:{port}', 1, f'resolve = {family}'))
    becomes(proxy, host)
    assert {kind for _, kind in server.asked} == {A if family == 'ipv4' else AAAA}


def test_another_address_when_the_ttl_is_over(stage, server):
    origins, port = same_port(stage, '127.0.0.2', '127.0.0.3')
    server.give(NAME, '127.0.0.2')
    proxy = proxy_of(stage, server, f'{NAME}:{port}')
    becomes(proxy, '127.0.0.2')
    server.give(NAME, '127.0.0.3')
    becomes(proxy, '127.0.0.3')
    # The connection that was kept to the old one is closed.
    await_until(lambda: origins[0].conns[-1].sock.fileno() < 0, 'the end of it')


def test_an_address_that_stays_keeps_its_connections(stage, server):
    origins, port = same_port(stage, '127.0.0.2', '127.0.0.3')
    server.give(NAME, '127.0.0.2')
    proxy = proxy_of(stage, server, f'{NAME}:{port}')
    becomes(proxy, '127.0.0.2')
    before = len(origins[0].conns)
    server.give(NAME, '127.0.0.2', '127.0.0.3')
    becomes(proxy, '127.0.0.2', '127.0.0.3')
    server.give(NAME, '127.0.0.2')
    becomes(proxy, '127.0.0.2')
    assert len(origins[0].conns) == before


def test_the_ttl_is_kept(stage, server):
    """Nobody asks again before it is over."""
    server.ttl = 3600
    _, port = same_port(stage, '127.0.0.2')
    server.give(NAME, '127.0.0.2')
    server.give('other.example.net', '127.0.0.2')
    proxy = proxy_of(stage, server, f'{NAME}:{port}')
    becomes(proxy, '127.0.0.2')
    asked = len(server.asked)
    for _ in range(40):
        proxy.ask()
    assert len(server.asked) == asked == 2


def test_a_request_that_runs_ends_where_it_began(stage, server):
    asked, go = threading.Event(), threading.Event()

    def slow(request):
        if request.target == '/slow':
            asked.set()
            assert go.wait(20)
        return ok(b'127.0.0.2')
    port = free_port()
    old = stage.origin(answers(slow), host='127.0.0.2', port=port)
    stage.origin(named('127.0.0.3'), host='127.0.0.3', port=port)
    server.give(NAME, '127.0.0.2')
    proxy = proxy_of(stage, server, f'{NAME}:{port}')
    proxy.awaits('addresses=1')
    client = proxy.client()
    client.send(get('/slow'))
    assert asked.wait(20)
    server.give(NAME, '127.0.0.3')
    proxy.awaits('addresses=1: 127.0.0.3')
    becomes(proxy, '127.0.0.3')
    go.set()
    assert client.answer().body == b'127.0.0.2'
    await_until(lambda: all(conn.sock.fileno() < 0 for conn in old.conns), 'it is not kept')
    await_until(lambda: any('"GET /slow ' in line and f'upstream=127.0.0.2:{port} ' in line
                            for line in proxy.lines()), 'the log has the address that was asked')


# ---- names that are not there ------------------------------------------------------------

def test_a_name_that_vanishes_keeps_its_addresses(stage, server):
    _, port = same_port(stage, '127.0.0.2')
    server.give(NAME, '127.0.0.2')
    proxy = proxy_of(stage, server, f'{NAME}:{port}')
    becomes(proxy, '127.0.0.2')
    server.take(NAME)
    proxy.awaits('its last addresses stay')
    server.awaits(len(server.asked) + 6, NAME)
    becomes(proxy, '127.0.0.2')
    assert proxy.said().count('is not resolved') == 1, 'said once'
    server.give(NAME, '127.0.0.2')
    proxy.awaits('is resolved again')


def test_one_family_that_fails_is_said_once(stage, server):
    _, port = same_port(stage, '127.0.0.2')
    server.give(NAME, '127.0.0.2')
    server.zone[NAME, AAAA] = None
    proxy = proxy_of(stage, server, f'{NAME}:{port}',
                     top=resolver(server, 'timeout = 50ms  attempts = 1'))
    becomes(proxy, '127.0.0.2')
    server.awaits(len(server.asked) + 8, NAME)
    assert proxy.said().count('is not resolved') == 1
    assert 'is resolved again' not in proxy.said()


@pytest.mark.parametrize('rcode', [2, 5])
def test_a_server_that_fails(stage, server, rcode):
    _, port = same_port(stage, '127.0.0.2')
    server.give(NAME, '127.0.0.2')
    proxy = proxy_of(stage, server, f'{NAME}:{port}')
    becomes(proxy, '127.0.0.2')
    server.rcode = rcode
    proxy.awaits('its last addresses stay')
    becomes(proxy, '127.0.0.2')


def test_an_answer_without_addresses_takes_none_away(stage, server):
    _, port = same_port(stage, '127.0.0.2')
    server.give(NAME, '127.0.0.2')
    proxy = proxy_of(stage, server, f'{NAME}:{port}')
    becomes(proxy, '127.0.0.2')
    server.give(NAME)
    proxy.awaits('it has no address any more')
    becomes(proxy, '127.0.0.2')


def test_a_family_that_goes_leaves_the_other(stage, server):
    _, port = same_port(stage, '127.0.0.2', '::1')
    server.give(NAME, '127.0.0.2', '::1')
    proxy = proxy_of(stage, server, f'{NAME}:{port}')
    becomes(proxy, '127.0.0.2', '::1')
    server.give(NAME, '::1')
    becomes(proxy, '::1')


def test_nxdomain_at_the_start_and_others_work(stage, server):
    """Requests are refused with the reason, until the name is there."""
    _, port = same_port(stage, '127.0.0.2')
    other = stage.origin(named('other'))
    top = resolver(server) + f'''
pool "late" {{ backend "b" {{ address = "{NAME}:{port}" }} }}
'''
    proxy = proxy_of(stage, server, other, top=top,
                     service='route "late" { path = { "/late" }  pool = "late" }')
    proxy.awaits('it has none')
    assert proxy.ask(get('/')).body == b'other'
    assert proxy.ask(get('/late')).status == 503
    assert [line['reason'] for line in proxy.logged(2)] == ['ok', 'unresolved']
    server.give(NAME, '127.0.0.2')
    await_until(lambda: proxy.ask(get('/late')).status == 200, 'the name has an address')


def test_a_silent_server_holds_nothing_up(stage, server):
    server.zone[NAME, A] = server.zone[NAME, AAAA] = None
    other = stage.origin(named('other'))
    top = resolver(server, 'timeout = 50ms') + f'pool "late" {{ backend "b" {{ address = "{NAME}:80" }} }}'
    proxy = proxy_of(stage, server, other, top=top,
                     service='route "late" { path = { "/late" }  pool = "late" }')
    assert proxy.ask(get('/')).body == b'other'
    assert proxy.ask(get('/late')).status == 503
    proxy.awaits('is not resolved: Timeout')


# ---- bounds and hostile answers ----------------------------------------------------------

def test_three_hundred_addresses(stage, server):
    """As many as are allowed are used, and the same ones each time."""
    _, port = same_port(stage, '127.0.0.2')
    many = [f'127.1.{i // 200}.{i % 200 + 1}' for i in range(300)]
    server.give(NAME, *many)
    top = resolver(server, 'max_addresses = 8') + '# '
    proxy = proxy_of(stage, server, f'{NAME}:{port}', top=top)
    proxy.awaits('has 300 addresses, of which 8 are used')
    assert server.tcp_asked, 'it does not fit a datagram'
    server.zone[NAME, A].reverse()
    asked = len(server.asked)
    server.awaits(asked + 6, NAME)
    assert proxy.said().count(f'name={NAME} addresses=') == 1, 'who has a seat keeps it'


@pytest.mark.parametrize('forged', [
    lambda q: answer(q, ['127.0.0.3'], identity=q.id ^ 1),
    lambda q: answer(q, ['127.0.0.3'], body=q.body.replace(b'origin', b'0rigin')),
    lambda q: answer(q, ['127.0.0.3'])[:11],
    lambda q: b'',
    lambda q: b'\xff' * 600,
], ids=['another id', 'another question', 'cut in the head', 'empty', 'noise'])
def test_hostile_answers_are_ignored(stage, server, forged):
    _, port = same_port(stage, '127.0.0.2', '127.0.0.3')
    server.give(NAME, '127.0.0.2')
    server.before = lambda q: [forged(q)]
    proxy = proxy_of(stage, server, (f'{NAME}:{port}', 1, 'resolve = ipv4'),
                     top=resolver(server, 'timeout = 100ms'))
    await_until(lambda: '127.0.0.2' in bodies(proxy, 2), 'the true answer counts')
    assert '127.0.0.3' not in bodies(proxy)


def test_a_server_that_cuts_its_answers(stage, server):
    """No address is read out of one; what was known stays."""
    _, port = same_port(stage, '127.0.0.2')
    server.give(NAME, '127.0.0.2')
    proxy = proxy_of(stage, server, f'{NAME}:{port}')
    becomes(proxy, '127.0.0.2')
    server.before = lambda q: [answer(q, ['127.0.0.3'])[:-3]]
    proxy.awaits('its last addresses stay')
    becomes(proxy, '127.0.0.2')


def test_addresses_that_are_none(stage, server):
    _, port = same_port(stage, '127.0.0.2')
    server.give(NAME, '0.0.0.0', '224.0.0.1', '255.255.255.255', '127.0.0.2', '::', 'ff02::1',
                '::ffff:127.0.0.3')
    proxy = proxy_of(stage, server, f'{NAME}:{port}')
    becomes(proxy, '127.0.0.2')
    proxy.awaits('addresses=1: 127.0.0.2')


# ---- with all the rest -------------------------------------------------------------------

def test_checks_follow(stage, server):
    """A new address is checked; the old one is not asked any more."""
    origins, port = same_port(stage, '127.0.0.2', '127.0.0.3')
    server.give(NAME, '127.0.0.2')
    proxy = proxy_of(stage, server, f'{NAME}:{port}',
                     service='health { type = http  interval = 50ms  fall = 1  floor = 0 }')
    becomes(proxy, '127.0.0.2')
    await_until(lambda: f'127.0.0.2:{port}' in health_of(stage) and 'up for' in health_of(stage),
                'the first one is up')
    server.give(NAME, '127.0.0.3', '127.0.0.4')
    proxy.awaits(f'backend site/b0 127.0.0.4:{port} is down: connect: Connection refused')
    await_until(lambda: origins[1].conns, 'the new one is checked')
    said = health_of(stage)
    assert f'127.0.0.2:{port}' not in said and f'127.0.0.3:{port}' in said
    assert f'{NAME}' in said and '2 of 2' in said
    becomes(proxy, '127.0.0.3')


def test_reload_goes_on_with_what_is_known(stage, server):
    """Also when the servers do not answer any more."""
    _, port = same_port(stage, '127.0.0.2')
    server.give(NAME, '127.0.0.2')
    proxy = proxy_of(stage, server, f'{NAME}:{port}', threads=2, drain='5s')
    becomes(proxy, '127.0.0.2')
    server.zone[NAME, A] = server.zone[NAME, AAAA] = None
    proxy.signal(signal.SIGHUP)
    proxy.awaits('reloaded')
    for _ in range(8):
        assert proxy.ask().body == b'127.0.0.2'


def test_hash_is_placed_anew(stage, server):
    _, port = same_port(stage, '127.0.0.2', '127.0.0.3')
    server.give(NAME, '127.0.0.2')
    proxy = proxy_of(stage, server, f'{NAME}:{port}', service='balance = hash  hash_by = uri')
    becomes(proxy, '127.0.0.2')
    server.give(NAME, '127.0.0.2', '127.0.0.3')
    await_until(lambda: {proxy.ask(get(f'/{i}')).body for i in range(32)} ==
                {b'127.0.0.2', b'127.0.0.3'}, 'keys go to both')


def test_hosts_of_the_host(stage, server):
    """/etc/hosts has localhost; no server is asked for it."""
    origin = stage.origin(named('here'))
    proxy = proxy_of(stage, server, (f'localhost:{origin.port}', 1, 'resolve = ipv4'))
    becomes(proxy, 'here')
    assert server.asked == []


def test_a_resolver_that_dies_is_started_again(stage, server):
    _, port = same_port(stage, '127.0.0.2')
    server.give(NAME, '127.0.0.2')
    proxy = proxy_of(stage, server, f'{NAME}:{port}')
    becomes(proxy, '127.0.0.2')
    found, = [pid for pid, name in proxy.children() if name.startswith('sluiced: names')]
    proxy.stop = proxy.begin_stop  # which minds no error
    os.kill(found, signal.SIGKILL)
    proxy.awaits('addresses stay until another one has asked')
    asked = len(server.asked)
    server.awaits(asked + 2, NAME)
    assert proxy.ask().status == 200
