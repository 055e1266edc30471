# SPDX-License-Identifier: BSD-2-Clause
"""How a pool chooses among its backends, and what happens when all are at their limits."""
import threading
import time

import pytest
from actors import answers, await_until, get, ok


def named(name):
    return answers(ok(name.encode()))


def names(stage, letters='abcd'):
    return [stage.origin(named(name)) for name in letters]


class Held:
    """A story: answers wait until they are let go, one by one."""

    def __init__(self, name=b'held'):
        self.go, self.name, self.arrived = threading.Semaphore(0), name, []

    def __call__(self, conn):
        while True:
            self.arrived.append(conn.request())
            assert self.go.acquire(timeout=20)  # pylint: disable=consider-using-with
            conn.send(ok(self.name))

    def has(self, n):
        await_until(lambda: len(self.arrived) >= n, f'{n} requests at the origin')
        assert len(self.arrived) == n


def send(proxy, *request):
    client = proxy.client()
    client.send(*(request or (get(),)))
    return client


# ---- ways to choose ---------------------------------------------------------------------

def test_least_conn(stage):
    """Who holds requests back gets no more than the others."""
    held = Held()
    origins = [stage.origin(held), *names(stage, 'ab')]
    proxy = stage.proxy(*origins, service='balance = least_conn')
    waiting = []
    while not held.arrived:
        waiting.append(send(proxy))
        await_until(lambda: held.arrived or not waiting[-1].silent(), 'it went somewhere')
    for _ in range(20):
        assert proxy.ask().body in (b'a', b'b')
    held.go.release()


def test_p2c_prefers_the_faster(stage):
    def slow(conn):
        while True:
            conn.request()
            time.sleep(0.03)
            conn.send(ok(b'slow'))
    proxy = stage.proxy(stage.origin(slow), *names(stage, 'ab'), service='balance = p2c')
    client = proxy.client()
    bodies = [client.ask(get()).body for _ in range(60)]
    assert bodies.count(b'slow') <= 3 and {b'a', b'b'} <= set(bodies)


def test_random_by_weight(stage):
    origins = names(stage, 'ab')
    proxy = stage.proxy((origins[0], 1), (origins[1], 9), service='balance = random')
    client = proxy.client()
    bodies = [client.ask(get()).body for _ in range(200)]
    assert 2 <= bodies.count(b'a') <= 50


@pytest.mark.parametrize('hash_by, request_of', [
    ('uri', lambda i: get(f'/{i}')),
    ('header:X-User', lambda i: get('/', f'x-user: {i}')),
    ('cookie:sid', lambda i: get('/', f'Cookie: a=1; sid={i}; b=2')),
])
def test_hash_stays(stage, hash_by, request_of):
    proxy = stage.proxy(*names(stage), service=f'balance = hash  hash_by = "{hash_by}"')
    client = proxy.client()
    first = [client.ask(request_of(i)).body for i in range(40)]
    assert len(set(first)) == 4
    assert [client.ask(request_of(i)).body for i in range(40)] == first


def test_hash_by_address(stage):
    proxy = stage.proxy(*names(stage), service='balance = hash')
    assert len({proxy.ask(get(f'/{i}')).body for i in range(10)}) == 1


def test_hash_without_its_header_goes_by_address(stage):
    proxy = stage.proxy(*names(stage), service='balance = hash  hash_by = "header:x-user"')
    assert len({proxy.ask(get(f'/{i}')).body for i in range(10)}) == 1


def test_hash_goes_on_when_one_is_gone(stage):
    origins = names(stage)
    proxy = stage.proxy(*origins, service='balance = hash  hash_by = uri')
    client = proxy.client()
    first = [client.ask(get(f'/{i}')).body for i in range(30)]
    origins[0].close()
    again = [client.ask(get(f'/{i}')).body for i in range(30)]
    assert b'a' not in again
    assert all(x == y for x, y in zip(first, again) if x != b'a')


# ---- backups ----------------------------------------------------------------------------

def test_a_backup_waits_until_all_others_are_gone(stage):
    origins = names(stage, 'abc')
    proxy = stage.proxy(origins[0], (origins[1], 1, 'backup = yes'), origins[2])
    assert {proxy.ask().body for _ in range(6)} == {b'a', b'c'}
    origins[0].close()
    assert {proxy.ask().body for _ in range(6)} == {b'c'}
    origins[2].close()
    assert {proxy.ask().body for _ in range(6)} == {b'b'}


# ---- limits and the queue ---------------------------------------------------------------

def test_at_its_limit_others_are_asked(stage):
    held = Held()
    proxy = stage.proxy((stage.origin(held), 1, 'max_conns = 1'), *names(stage, 'a'))
    waiting = send(proxy)
    held.has(1)
    for _ in range(5):
        assert proxy.ask().body == b'a'
    held.go.release(9)
    assert waiting.answer().body == b'held'


def test_without_a_queue_there_is_no_place(stage):
    held = Held()
    proxy = stage.proxy((stage.origin(held), 1, 'max_conns = 1'), service='retry_after = 7s')
    waiting = send(proxy)
    held.has(1)
    answer = proxy.ask()
    assert answer.status == 503 and answer['Retry-After'] == '7'
    held.go.release()
    assert waiting.answer().body == b'held'
    lines = proxy.logged(2)
    assert lines[0]['reason'] == 'queue_full' and lines[1]['reason'] == 'ok'


def test_the_queue_is_served_in_its_order(stage):
    held = Held()
    proxy = stage.proxy((stage.origin(held), 1, 'max_conns = 1'),
                        service='queue = 3  queue_timeout = 20s')
    clients = [send(proxy, get('/0'))]
    held.has(1)
    clients += [send(proxy, get(f'/{i}')) for i in (1, 2, 3)]
    assert proxy.ask(get('/full')).status == 503
    for i, client in enumerate(clients):
        held.go.release()
        if i < 3:
            held.has(i + 2)
    assert {c.answer().body for c in clients} == {b'held'}
    assert [r.target for r in held.arrived] == ['/0', '/1', '/2', '/3']


def test_who_waits_too_long_is_told(stage):
    held = Held()
    proxy = stage.proxy((stage.origin(held), 1, 'max_conns = 1'),
                        service='queue = 3  queue_timeout = 300ms')
    first = send(proxy)
    held.has(1)
    answer = proxy.ask()
    assert answer.status == 503 and answer['Retry-After'] == '1'
    line = proxy.logged(1)[0]
    assert line['reason'] == 'queue_timeout' and int(line['total_ms']) >= 300
    held.go.release()
    assert first.answer().status == 200


def test_who_leaves_the_queue_makes_place(stage):
    held = Held()
    proxy = stage.proxy((stage.origin(held), 1, 'max_conns = 1'),
                        service='queue = 1  queue_timeout = 20s')
    first = send(proxy)
    held.has(1)
    leaves = send(proxy, get('/leaves'))
    assert proxy.ask(get('/full')).status == 503
    leaves.reset()
    await_until(lambda: 'client_gone' in ' '.join(proxy.lines()), 'it is gone')
    stays = send(proxy, get('/stays'))
    held.go.release(2)
    assert first.answer().status == 200 and stays.answer().status == 200
    assert [r.target for r in held.arrived] == ['/', '/stays']


def test_the_limit_is_of_all_threads(stage):
    """Who waits in one thread is served when another one frees a connection."""
    held = Held()
    proxy = stage.proxy((stage.origin(held), 1, 'max_conns = 2'), threads=4,
                        service='queue = 100  queue_timeout = 20s')
    clients = [send(proxy) for _ in range(16)]
    for n in range(2, 17):
        held.has(n)
        held.go.release()
    held.go.release()
    assert {c.answer().status for c in clients} == {200}


def test_connections_being_made_have_a_limit(stage):
    held = Held()
    proxy = stage.proxy((stage.origin(held), 1, 'max_connecting = 1'),
                        service='queue = 9  queue_timeout = 20s')
    clients = [send(proxy) for _ in range(6)]
    held.has(6)  # on loopback each connection is made at once, and the next one may be
    held.go.release(6)
    assert {c.answer().status for c in clients} == {200}


# ---- coming back ------------------------------------------------------------------------

def test_a_slow_start(stage):
    """A backend that comes back has a tenth of its share at first."""
    origins = names(stage, 'ab')
    port = origins[0].port
    proxy = stage.proxy(*origins, service='slow_start = 1h  balance = random')
    client = proxy.client()
    origins[0].close()
    assert {client.ask(get()).body for _ in range(20)} == {b'b'}
    again = stage.origin(named('again'), port=port)
    await_until(lambda: client.ask(get()).body == b'again', 'it is asked again')
    bodies = [client.ask(get()).body for _ in range(200)]
    assert 1 <= bodies.count(b'again') <= 60
    assert again.conns
