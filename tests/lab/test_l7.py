# SPDX-License-Identifier: BSD-2-Clause
"""L7: client, gate, steer, sluiced's workers, nginx."""
import os
import re
import signal
import threading

import pytest
from conftest import start_daemon
from lab import (BACKENDS, CLIENT4, CLIENT6, SITE4, SITE6, VIP4, Counted, await_until, read_all,
                 request_on)

FAMILIES = [pytest.param(SITE4, CLIENT4, id='v4'), pytest.param(SITE6, CLIENT6, id='v6')]

SITE = '''
gate {{ interfaces = {{ "eth0" }} }}
daemon {{ user = "nobody"  threads = 2  access_log = "off"  drain_timeout = 20s }}
service "site" {{
	kind   = l7
	listen = {{ {listen} }}
	connect_timeout  = 1s
	response_timeout = 1s
	{backends}
}}
'''
LIVE = 'backend "b1" { address = "10.83.0.11:8080" }'
REFUSING = 'backend "x" { address = "10.83.0.12:9" }'
SILENT = 'backend "y" { address = "10.83.0.250:8080" }'


@pytest.fixture
def site(gate, config):
    """A daemon of this test's own, after the gate has been told; then the lab's services."""
    def run(backends, listen='"198.51.100.20:80"'):
        path = config(SITE.format(listen=listen, backends=backends))
        gate.balancer.sluice('apply', '-c', path)
        gate.balancer.stop_all()
        return path, start_daemon_quietly(gate, path)
    yield run
    gate.balancer.stop_all()
    gate.balancer.sluice('apply', '-c', 'examples/lab.conf')


def start_daemon_quietly(lab, path):
    process = lab.balancer.start('sluiced', '-c', path)

    def listening():
        assert process.ended() is None, process.said()
        try:
            lab.client.connect(SITE4).close()
            return True
        except OSError:
            return False
    await_until(listening, 'sluiced listens')
    return process


@pytest.fixture
def site_daemon(gate):
    """The lab's own daemon, for tests that may harm it."""
    gate.balancer.stop_all()
    yield start_daemon(gate)
    gate.balancer.stop_all()


@pytest.mark.parametrize('vip, client', FAMILIES)
def test_the_backend_learns_who_asked(gate, site_daemon, vip, client):
    with Counted(gate.balancer) as c:
        answer = gate.ask(vip)
        c.awaits('l7')
    assert answer.status == 200
    assert answer['x-forwarded-for'] == client
    assert answer['x-forwarded-proto'] == 'http'
    assert 'sluice' in answer['via']
    assert answer['from'] in ('10.83.0.2', 'fd83::2')


def test_requests_go_round_the_backends(gate, site_daemon):
    with gate.client.connect(SITE4) as s:
        assert {request_on(s)['backend'] for _ in range(8)} == {'b1', 'b2'}


def test_keep_alive_both_ways(gate, site_daemon):
    with gate.client.connect(SITE4) as s:
        for _ in range(20):
            assert request_on(s, '/size/1000').status == 200
    log = gate.b1.run('cat', '/run/nginx/access.log').stdout
    assert CLIENT4 in log


def test_large_answers_and_uploads_stream(gate, site_daemon):
    assert len(gate.ask(SITE4, path='/size/10000000').body) == 10_000_000
    with gate.client.connect(SITE6) as s:
        body = b'z' * 3_000_000
        s.sendall(b'POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n'
                  b'Content-Length: %d\r\n\r\n' % len(body) + body)
        assert b'backend b' in read_all(s)


def test_connections_are_spread_over_the_workers_threads(gate, site_daemon):
    """Each thread has its own epoll instance: count the connections that each watches."""
    def watched():
        counts = []
        for pid in gate.balancer.pids('sluiced'):
            listing = gate.balancer.run('sh', '-c', f'grep -H ^tfd /proc/{pid}/fdinfo/*').stdout
            counts += [listing.count(f'/fdinfo/{fd}:')
                       for fd in set(re.findall(r'/fdinfo/(\d+):', listing))]
        return counts
    before = sum(watched())
    held = [gate.client.connect(SITE4) for _ in range(60)]
    for s in held:
        request_on(s)
    await_until(lambda: sum(watched()) >= before + 60, 'all connections are watched')
    busy = [n for n in watched() if n >= 12]
    for s in held:
        s.close()
    assert len(busy) == 2, busy


def test_every_port_of_a_vip(gate, site):
    site(LIVE, listen='"198.51.100.20:80", "198.51.100.21:*"')
    for port in (80, 443, 8080, 54321):
        assert gate.ask('198.51.100.21', port)['backend'] == 'b1'


def test_a_refusing_backend_is_passed_over(gate, site):
    site(REFUSING + LIVE)
    assert [gate.ask(SITE4).status for _ in range(6)] == [200] * 6


def test_no_backend_reachable_is_an_error_page_in_time(gate, site):
    site(REFUSING)
    assert gate.ask(SITE4).status in (502, 503)


def test_a_silent_backend_ends_in_a_timeout_page(gate, site):
    site(SILENT)
    assert gate.ask(SITE4).status in (502, 504)


def test_malformed_requests_reach_no_backend(gate, site_daemon):
    lines = gate.b1.run('wc', '-l', '/run/nginx/access.log').stdout
    for bad in (b'GET / HTTP/1.1\r\n\r\n', b'GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n',
                b'GET / HTTP/1.1\nHost: a\n\n',
                b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked'
                b'\r\n\r\n0\r\n\r\n'):
        with gate.client.connect(SITE4) as s:
            s.sendall(bad)
            assert read_all(s).startswith(b'HTTP/1.1 400 '), bad
    assert gate.b1.run('wc', '-l', '/run/nginx/access.log').stdout == lines


# ---- the daemon's life ------------------------------------------------------------------

def workers(lab):
    """(keeper, worker) as the balancer counts processes."""
    tree = lab.balancer.processes('sluiced')
    pids = {row.pid for row in tree}
    keeper = next(row for row in tree if row.ppid not in pids)
    worker = next(row for row in tree if row.ppid == keeper.pid)
    return keeper, worker


def test_the_worker_has_no_privilege(gate, site_daemon):
    keeper, worker = workers(gate)
    assert keeper.user == 'root' and worker.user == 'nobody'
    status = gate.balancer.run('cat', f'/proc/{worker.pid}/status').stdout
    assert re.search(r'CapEff:\s+0+$', status, re.M) and re.search(r'NoNewPrivs:\s+1', status)


def test_the_gate_goes_on_without_the_daemon(gate, site_daemon):
    gate.balancer.sluice('block', 'add', '10.83.0.66')
    with gate.client.connect(VIP4) as s:
        backend = request_on(s)['backend']
        gate.balancer.run('pkill', '-9', '-x', 'sluiced')
        await_until(lambda: not gate.balancer.pids('sluiced'), 'sluiced is gone')
        assert request_on(s)['backend'] == backend
    assert gate.ask(VIP4)['backend'] in BACKENDS
    assert '10.83.0.66' in gate.balancer.sluice('block', 'list').stdout
    gate.balancer.sluice('block', 'del', '10.83.0.66')
    with pytest.raises(OSError):
        gate.client.connect(SITE4)
    start_daemon(gate)
    assert gate.ask(SITE6).status == 200


def test_a_killed_worker_comes_back(gate, site_daemon):
    _, worker = workers(gate)
    gate.balancer.run('kill', '-9', worker.pid)

    def answers():
        try:
            return workers(gate)[1].pid != worker.pid and gate.ask(SITE4).status == 200
        except (OSError, AssertionError, StopIteration):
            return False
    await_until(answers, 'another worker answers')
    assert site_daemon.ended() is None


def test_sigterm_finishes_what_runs_and_takes_nothing_new(gate, site_daemon):
    """100 kB at 20 kB/s: still running when the signal comes."""
    result = []
    with gate.client.connect(SITE4) as s:
        s.sendall(b'GET /slow/100000 HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n')
        first = s.recv(1000)
        assert first.startswith(b'HTTP/1.1 200 ')
        reader = threading.Thread(target=lambda: result.append(read_all(s)))
        reader.start()
        gate.balancer.run('kill', '-TERM', workers(gate)[0].pid)

        def refuses():
            try:
                gate.client.connect(SITE4).close()
                return False
            except OSError:
                return True
        await_until(refuses, 'new connections are refused')
        assert site_daemon.ended() is None, 'it must not leave while a request runs'
        reader.join(timeout=30)
    assert (first + result[0]).count(b'x') >= 100_000
    assert site_daemon.wait(10) == 0


def test_idle_connections_do_not_hold_up_the_end(gate, site_daemon):
    with gate.client.connect(SITE4) as s:
        request_on(s)
        os.killpg(site_daemon.process.pid, signal.SIGTERM)
        assert site_daemon.wait(10) is not None
        assert s.recv(1) == b''


def test_a_second_daemon_is_refused_or_takes_over(gate, site_daemon):
    """Never two that share the connections by accident."""
    second = gate.balancer.start('sluiced', '-c', 'examples/lab.conf')
    await_until(lambda: second.ended() is not None or site_daemon.ended() is not None,
                'one of the two has gone')
    assert gate.ask(SITE4).status == 200


@pytest.mark.parametrize('bad', ['daemon { user = "no-such-user-here" }', 'daemon { threads = many }'])
def test_n_checks_and_touches_nothing(gate, config, bad):
    done = gate.balancer.run('sluiced', '-n', '-c', config(bad), check=False)
    assert done.returncode != 0 and done.stderr
    assert gate.balancer.run('sluiced', '-n', '-c', 'examples/lab.conf').returncode == 0
