# SPDX-License-Identifier: BSD-2-Clause
"""SYN cookies: a client whose SYN the gate answers, the host's own stack that goes on, sluiced. And
a flood of forged SYNs, of which the listener never hears."""
import re

import pytest
from conftest import start_daemon
from flood import Flood
from lab import SITE4, SITE6, Counted, await_until, read_all, request_on

SITES = [pytest.param(SITE4, id='v4'), pytest.param(SITE6, id='v6')]
FORGED = 20_000


def site(words):
    return f'''gate {{ interfaces = {{ "eth0" }} }}
daemon {{ threads = 2  access_log = "off" }}
service "site" {{
\tkind   = l7
\tlisten = {{ "{SITE4}:80", "[{SITE6}]:80" }}
\t{words}
\tbackend "b1" {{ address = "10.83.0.11:8080" }}
\tbackend "b2" {{ address = "10.83.0.12:8080" }}
}}
'''


def sysctl(lab, **values):
    lab.balancer.run('sysctl', '-q', '-w', *(f'net.ipv4.tcp_{k}={v}' for k, v in values.items()))


@pytest.fixture(scope='module')
def ready(gate):
    """A host that does as the manual says, with sluiced on it."""
    sysctl(gate, syncookies=2, timestamps=2)
    start_daemon(gate)
    yield gate
    gate.balancer.stop_all()
    sysctl(gate, syncookies=1, timestamps=1)
    gate.balancer.sluice('apply', '-c', 'examples/lab.conf')


@pytest.fixture
def apply(ready, config):
    def run(words):
        return ready.balancer.sluice('apply', '-c', config(site(words)))
    return run


def stack(lab, *names):
    """The kernel's own counts."""
    said = lab.balancer.run('nstat', '-asz', *names).stdout
    return [int(re.search(rf'^{n} +(\d+)', said, re.M)[1]) for n in names]


def waiting(lab):
    """Connections that the balancer's kernel keeps for clients that have not come back."""
    return len(lab.balancer.run('ss', '-Htn', 'state', 'syn-recv').stdout.splitlines())


@pytest.mark.parametrize('vip', SITES)
def test_a_connection_by_cookie_has_all_that_both_ends_can(ready, apply, vip):
    said = apply('syncookie = always')
    assert 'syncookie' not in said.stderr
    before = stack(ready, 'TcpExtSyncookiesRecv')[0]
    with Counted(ready.balancer) as c, ready.client.connect(vip) as s:
        assert request_on(s).status == 200
        assert c.syncookie == 1
        assert stack(ready, 'TcpExtSyncookiesRecv')[0] == before + 1
        for host, local in ((ready.client, s.getsockname()[1]), (ready.balancer, 80)):
            told = host.run('ss', '-tinoH', 'state', 'established', f'sport = :{local}').stdout
            assert re.search(r'\bts\b', told) and re.search(r'\bsack\b', told), told
            assert re.search(r'wscale:[1-9]\d*,[1-9]', told), told


def own_shift(lab, vip):
    """The shift of windows that the balancer announced to a client, as the client has it."""
    with lab.client.connect(vip) as s:
        told = lab.client.run('ss', '-tinoH', f'sport = :{s.getsockname()[1]}').stdout
        return re.search(r'wscale:(\d+),', told)[1]


@pytest.mark.parametrize('vip', SITES)
def test_the_gate_answers_as_the_stack_would(ready, apply, vip):
    apply('syncookie = always')
    gates = own_shift(ready, vip)
    apply('syncookie = off')
    with Counted(ready.balancer) as c:
        assert own_shift(ready, vip) == gates
        assert c.syncookie == 0


@pytest.mark.parametrize('vip', SITES)
def test_large_bodies_both_ways(ready, apply, vip):
    apply('syncookie = always')
    body = b'y' * 3_000_000
    with Counted(ready.balancer) as c:
        assert len(ready.ask(vip, path='/size/1000000').body) == 1_000_000
        with ready.client.connect(vip) as s:
            s.sendall(b'POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n'
                      b'Content-Length: %d\r\n\r\n' % len(body) + body)
            assert b'backend b' in read_all(s)
        assert c.syncookie == 2


def test_curl_is_served(ready, apply):
    apply('syncookie = always')
    for url in (f'http://{SITE4}/size/1000000', f'http://[{SITE6}]/size/1000000'):
        said = ready.client.run('curl', '-sS', '-o', '/dev/null', '-w', '%{http_code} %{size_download}',
                                url).stdout
        assert said == '200 1000000'


@pytest.mark.parametrize('vip', SITES)
def test_a_forged_flood_fills_no_queue_and_clients_are_served(ready, apply, vip):
    """More SYNs than any backlog holds, and real clients amid them."""
    apply('syncookie = auto syncookie_rate = 100')
    before = stack(ready, 'TcpExtListenOverflows')
    with Counted(ready.balancer) as c, Flood(ready, vip, FORGED) as flood:
        c.awaits('syncookie')
        asked = 0
        while not flood.done() or asked < 3:
            assert ready.ask(vip).status == 200
            assert waiting(ready) == 0
            asked += 1
        flood.join()
        # What came before it was known for a flood is the stack's.
        c.awaits('syncookie', FORGED - 2000)
        assert c.syncookie_good > 0
    assert stack(ready, 'TcpExtListenOverflows') == before


def test_packets_of_nobody_are_dropped_amid_a_flood(ready, apply):
    apply('syncookie = auto syncookie_rate = 1')
    with ready.client.connect(SITE4) as s:
        assert request_on(s).status == 200
        with Counted(ready.balancer) as c:
            with Flood(ready, SITE4, 100) as syns:
                syns.join()
            with Flood(ready, SITE4, 1000, flags='A') as acks:
                acks.join()
            c.awaits('syncookie_bad', 500)
            # Of a connection that is open, nothing is lost.
            assert request_on(s).status == 200


def test_what_the_host_lacks_is_said(ready, apply):
    sysctl(ready, syncookies=1)
    try:
        assert 'sysctl -w net.ipv4.tcp_syncookies=2' in apply('syncookie = always').stderr
        with Counted(ready.balancer) as c:
            assert ready.ask(SITE4).status == 200
            assert c.syncookie_refused == 1 and c.syncookie == 0
        sysctl(ready, syncookies=2, timestamps=1)
        assert 'sysctl -w net.ipv4.tcp_timestamps=2' in apply('syncookie = always').stderr
        with Counted(ready.balancer) as c, ready.client.connect(SITE4) as s:
            assert request_on(s).status == 200
            told = ready.client.run('ss', '-tinoH', f'sport = :{s.getsockname()[1]}').stdout
            assert c.syncookie == 1 and 'wscale' not in told
    finally:
        sysctl(ready, syncookies=2, timestamps=2)


def test_an_attached_gate_knows_it_too(ready, config):
    path = config(site('syncookie = always'))
    ready.balancer.sluice('attach', 'eth0', '-c', path)
    with Counted(ready.balancer) as c:
        assert ready.ask(SITE6).status == 200
        assert c.syncookie == 1
    rows = {s['name']: s for s in ready.balancer.status()['services']}
    assert rows['site']['syncookie'] == 'always'
    said = ready.balancer.sluice('apply', '-c', config(site('syncookie = auto'))).stdout
    assert 'syncookie always -> auto' in said
    await_until(lambda: ready.ask(SITE4).status == 200, 'the site answers')
