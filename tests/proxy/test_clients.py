# SPDX-License-Identifier: BSD-2-Clause
"""Clients that are slow, silent, many, rude or gone: limits hold, the others are served, and
nothing is left behind. And what a stop does to them. The access log is in test_access.py."""
import contextlib
import random
import resource
import select
import threading
import time

import pytest
from actors import Broken, answers, await_until, chunks, get, ok, sanitized

TLS_HELLO = bytes.fromhex('1603010200010001fc0303') + bytes(range(256)) * 2
BLOCK = b'x' * (1 << 18)
LARGE = ok(BLOCK * 256)


def post(length, *fields):
    return get('/', f'Content-Length: {length}', *fields, method='POST')


def held(origin, client, request=get()):
    """The request has reached the origin, which does not answer yet."""
    client.send(request)
    conn = origin.accept()
    conn.until(b'\r\n\r\n')
    return conn


def pooled(origin, client):
    """The client was served once; its connection is idle, and so is the origin's."""
    conn = held(origin, client)
    conn.send(ok(b'hello'))
    assert client.answer().body == b'hello'
    return conn


# ---- slow -------------------------------------------------------------------------------

@pytest.mark.parametrize('part', [b'G', get()[:-1], b'\r\n'], ids=['a byte', 'all but one', 'CRLF'])
def test_a_head_that_does_not_end_in_time(stage, origin, part):
    client = stage.proxy(origin, service='header_timeout = 300ms').client()
    client.send(part)
    answer = client.answer()
    assert answer.status == 408 and answer['Connection'] == 'close'
    assert client.ended() and origin.untouched()


def test_a_head_in_drops_has_no_more_time(stage, origin):
    client = stage.proxy(origin, service='header_timeout = 500ms').client()
    client.send(b'GET / HTTP/1.1\r\nX: ')
    while not select.select([client.sock], [], [], 0.05)[0]:
        client.send(b'x')
    assert client.answer().status == 408 and origin.untouched()


def test_the_second_head_has_its_own_time(stage, origin):
    client = stage.proxy(origin, service='header_timeout = 300ms').client()
    conn = pooled(origin, client)
    client.send(get()[:-1])
    assert client.answer().status == 408 and client.ended() and conn.silent()


def test_who_says_nothing_is_told_nothing(stage, origin):
    proxy = stage.proxy(origin, service='header_timeout = 300ms')
    assert proxy.client().ended() and origin.untouched() and proxy.logged(0) == []


def test_an_idle_connection_is_closed(stage, origin):
    proxy = stage.proxy(origin, service='idle_timeout = 300ms')
    client = proxy.client()
    conn = pooled(origin, client)
    assert client.ended() and conn.silent() and len(proxy.logged(1)) == 1


@pytest.mark.parametrize('request_bytes', [
    post(5) + b'hell', post(5), get('/', 'Transfer-Encoding: chunked', method='POST') + b'5\r\nhe'],
    ids=['length', 'no byte', 'chunked'])
def test_a_body_that_does_not_go_on(stage, origin, request_bytes):
    proxy = stage.proxy(origin, service='body_timeout = 300ms')
    client = proxy.client()
    conn = held(origin, client, request_bytes)
    answer = client.answer()
    assert answer.status == 408 and answer['Connection'] == 'close' and client.ended()
    assert conn.gone()
    line = proxy.logged(1)[0]
    assert line['reason'] == 'client_timeout' and line['status'] == '408'


def test_a_reader_that_stopped_is_cut_and_others_are_served(stage):
    origin = stage.origin(answers(lambda r: LARGE if r.target == '/large' else ok(b'hello')))
    proxy = stage.proxy(origin, service='body_timeout = 500ms')
    stuck, other = proxy.client(receive_buffer=4096), proxy.client()
    stuck.send(get('/large'))
    stuck.until(b'\r\n\r\n')
    while not (cut := [line for line in proxy.lines() if 'client_timeout' in line]):
        assert other.ask(get('/small')).body == b'hello'
    assert '"GET /large HTTP/1.1" 200 ' in cut[0]
    with pytest.raises(Broken):
        stuck.exactly(len(LARGE))


def test_a_slow_reader_gets_everything(stage):
    client = stage.proxy(stage.origin(answers(LARGE))).client(receive_buffer=4096)
    client.send(get())
    for _ in range(2000):
        client.got += client.sock.recv(500)
    assert client.answer().body == LARGE[-(64 << 20):] and client.silent()


# ---- gone -------------------------------------------------------------------------------

@pytest.mark.parametrize('request_bytes', [get(), post(5) + b'hello', get(version='1.0')],
                         ids=['GET', 'POST', '1.0'])
def test_who_has_said_all_still_hears(stage, origin, request_bytes):
    proxy = stage.proxy(origin)
    client = proxy.client()
    client.send(request_bytes)
    client.half_close()
    conn = origin.accept()
    conn.until(request_bytes[-4:])
    conn.send(ok(b'hello'))
    assert client.answer().body == b'hello' and client.ended()
    assert proxy.logged(1)[0]['reason'] == 'ok'


def test_a_half_close_while_the_origin_thinks(stage, origin):
    client = stage.proxy(origin).client()
    conn = held(origin, client)
    client.half_close()
    conn.send(b'HTTP/1.1 103 Early Hints\r\n\r\n')
    assert client.answer().status == 103
    conn.send(ok(b'hello'))
    assert client.answer().body == b'hello' and client.ended()


def test_pipelined_requests_before_a_half_close_are_answered(stage):
    origin = stage.origin(answers(lambda r: ok(r.target.encode())))
    client = stage.proxy(origin).client()
    client.send(get('/1'), get('/2'), get('/3'))
    client.half_close()
    assert [client.answer().body for _ in range(3)] == [b'/1', b'/2', b'/3'] and client.ended()


def half_a_head(client, origin):
    client.send(get()[:-1])


def waiting(client, origin):
    held(origin, client)


def waiting_with_more(client, origin):
    held(origin, client, get('/1') + get('/2'))


def half_a_body(client, origin):
    held(origin, client, post(5) + b'he')


def half_an_answer(client, origin):
    held(origin, client).send(ok(b'hello')[:-2])
    assert client.until(b'hel')


def half_a_chunked_answer(client, origin):
    conn = held(origin, client)
    conn.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', chunks(b'hello', end=b''))
    assert client.until(b'hello\r\n')


def after_interim(client, origin):
    held(origin, client, post(5, 'Expect: 100-continue')).send(b'HTTP/1.1 100 Continue\r\n\r\n')
    assert client.answer().status == 100


def refused(client, origin):
    client.send(b'nonsense\r\n\r\n')
    assert client.answer().status == 400


def connected(client, origin):
    pass


def idle(client, origin):
    pooled(origin, client)


PHASES = [connected, half_a_head, waiting, waiting_with_more, half_a_body, after_interim,
          half_an_answer, half_a_chunked_answer, idle, refused]


@pytest.mark.parametrize('end', ['reset', 'close'])
@pytest.mark.parametrize('phase', PHASES, ids=[p.__name__ for p in PHASES])
def test_who_goes_leaves_nothing(stage, origin, phase, end):
    """A client that closes may still wait for its answer, as long as nothing comes for it."""
    proxy = stage.proxy(origin, service='upstream_idle_max = 0')
    before = proxy.descriptors()
    client = proxy.client()
    phase(client, origin)
    getattr(client, end)()
    if end == 'close' and origin.conns:
        with contextlib.suppress(OSError):
            origin.conns[-1].send(BLOCK, BLOCK)
    await_until(lambda: proxy.descriptors() == before, 'no connection is left')
    while not origin.accepts_nothing():
        origin.accept()  # of a second request
    pooled(origin, proxy.client())


def test_a_reset_ends_the_request_at_the_origin(stage, origin):
    proxy = stage.proxy(origin)
    client = proxy.client()
    conn = held(origin, client)
    client.reset()
    assert conn.ended()
    line = proxy.logged(1)[0]
    assert line['reason'] == 'client_gone' and line['status'] == '0'


def test_a_reset_behind_pipelined_requests(stage, origin):
    client = stage.proxy(origin).client()
    conn = held(origin, client)
    client.send(get('/2'))
    client.reset()
    assert conn.ended() and origin.accepts_nothing()


# ---- rude -------------------------------------------------------------------------------

@pytest.mark.parametrize('noise', [TLS_HELLO, b'SSH-2.0-x\r\n', b'\0' * 100, b'\xff' * 100,
                                   b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', b'\r\n' * 50,
                                   b'EHLO test\r\n', b'<xml/>\r\n\r\n'])
def test_another_protocol(stage, origin, noise):
    """One of which each side waits for the other is timed out."""
    client = stage.proxy(origin, service='header_timeout = 300ms').client()
    client.send(noise)
    assert client.answer().status in (400, 408, 505) and client.ended() and origin.untouched()


def test_noise(stage, origin):
    """Whatever is said, the origin hears only requests, and the daemon lives."""
    proxy = stage.proxy(origin, service='header_timeout = 300ms')
    dice = random.Random(7)
    for n in range(200):
        client = proxy.client()
        noise = bytearray(get('/', 'X: y'))
        for _ in range(dice.randrange(1, 9)):
            noise[dice.randrange(15)] = dice.randrange(256)  # in the request line
        noise += dice.randbytes(n)
        client.send(noise)
        client.half_close()
        assert client.gone()
        client.close()
        while not origin.accepts_nothing():
            conn = origin.accept()
            with contextlib.suppress(Broken):
                assert conn.request().start.endswith(' HTTP/1.1')
                conn.close()


# ---- many -------------------------------------------------------------------------------

def test_an_idle_connection_makes_place(stage):
    origin = stage.origin(answers(ok(b'hello')))
    proxy = stage.proxy(origin, daemon='max_connections = 3')
    clients = [proxy.client() for _ in range(3)]
    for client in clients:
        assert client.ask(get()).status == 200
    since = time.monotonic()
    while time.monotonic() < since + 1.1:  # the order is true to a second
        assert clients[0].ask(get()).status == 200
    assert proxy.client().ask(get()).body == b'hello'
    assert clients[1].ended()
    assert clients[0].ask(get()).status == clients[2].ask(get()).status == 200


def test_new_connections_wait_while_all_are_busy(stage, origin):
    proxy = stage.proxy(origin, daemon='max_connections = 3')
    clients = [proxy.client() for _ in range(3)]
    conns = [held(origin, client) for client in clients]
    late = [proxy.client() for _ in range(5)]
    for client in late:
        client.send(get('/late', 'Connection: close'))
    proxy.awaits('max_connections')
    assert origin.accepts_nothing()
    conns[1].send(ok(b'hello'))
    assert clients[1].answer().body == b'hello'
    # Its place is free now, and so is the origin's connection.
    for client in late:
        assert conns[1].request().target == '/late'
        conns[1].send(ok(b'late'))
        assert client.answer().body == b'late'
    assert clients[0].silent() and clients[2].silent()


def test_thousands_of_idle_connections(stage):
    n = 4000
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < n + 500:
        pytest.skip(f'needs {n + 500} descriptors: ulimit -n')
    proxy = stage.proxy(stage.origin(answers(ok(b'hello'))))
    one = proxy.client()
    assert one.ask(get()).status == 200
    descriptors, memory = proxy.descriptors(), proxy.memory()
    clients = [proxy.client() for _ in range(n)]
    for client in clients[::2]:
        assert client.ask(get()).status == 200
    await_until(lambda: proxy.descriptors() == descriptors + n, 'all are accepted')
    assert sanitized() or proxy.memory() - memory < n * 1024  # 1 KiB each
    assert one.ask(get()).body == b'hello'
    for client in clients:
        client.close()
    await_until(lambda: proxy.descriptors() == descriptors, 'all are closed')
    assert one.ask(get()).body == b'hello'


def test_nobody_gets_the_answer_of_another(stage):
    """Many at once, two threads, connections that end now and then on both sides."""
    def story(conn):
        dice = random.Random(id(conn))
        while True:
            r = conn.request()
            body = r.target.encode() + r.body
            if dice.random() < 0.1:
                conn.send(b'HTTP/1.1 200 OK\r\n\r\n', body)
                return
            if dice.random() < 0.3:
                conn.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', chunks(body))
            else:
                conn.send(ok(body))

    def crowd(name):
        dice, client = random.Random(name), None
        for n in range(100):
            client = client or proxy.client('::1' if dice.random() < 0.5 else '127.0.0.1')
            path, body = f'/{name}/{n}', b'x' * dice.randrange(40000)
            close = ['Connection: close'] if dice.random() < 0.1 else []
            answer = client.ask(get(path, f'Content-Length: {len(body)}', *close, method='PUT'),
                                body)
            assert answer.status == 200 and answer.body == path.encode() + body
            client = None if close else client
        passed.append(name)

    proxy = stage.proxy(stage.origin(story), stage.origin(story), threads=2)
    passed = []
    people = [threading.Thread(target=crowd, args=(n,)) for n in range(16)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert len(passed) == len(people)
    assert len(proxy.logged(1600)) == 1600


# ---- the stop ---------------------------------------------------------------------------

def test_stop_lets_requests_end_and_closes_idle_connections(stage, origin):
    proxy = stage.proxy(origin, drain='10s')
    idle_one, thinking, hearing, sending, fresh = (proxy.client() for _ in range(5))
    heard = pooled(origin, idle_one)
    hearing.send(get('/hearing'))
    heard.until(b'\r\n\r\n')
    heard.send(ok(b'hello')[:-1])
    assert hearing.until(b'hell')
    asked = held(origin, thinking, get('/thinking'))
    sending.send(get('/sending')[:-1])

    proxy.begin_stop()
    assert idle_one.ended()
    asked.send(ok(b'thought'))
    answer = thinking.answer()
    assert answer.body == b'thought' and answer['Connection'] == 'close' and thinking.ended()
    heard.send(b'o')
    assert hearing.exactly(1) == b'o' and hearing.ended()
    for client, last in ((fresh, get('/fresh')), (sending, b'\n')):
        held(origin, client, last).send(ok(b'in time'))
        answer = client.answer()
        assert answer.body == b'in time' and answer['Connection'] == 'close' and client.ended()
    proxy.stop()
    lines = proxy.logged(5)
    assert sorted(line['line'].split()[1] for line in lines) == [
        '/', '/fresh', '/hearing', '/sending', '/thinking']
    assert {line['reason'] for line in lines} == {'ok'}


def test_a_stop_without_traffic_is_quick(stage, origin):
    proxy = stage.proxy(origin, drain='1h')
    client = proxy.client()
    pooled(origin, client)
    proxy.stop()
    assert client.ended()


def test_what_does_not_end_is_cut_and_logged(stage, origin):
    proxy = stage.proxy(origin, drain='300ms')
    thinking, hearing = proxy.client(), proxy.client()
    conn = held(origin, hearing)
    conn.send(ok(b'hello')[:-1])
    assert hearing.until(b'hell')
    held(origin, thinking)
    proxy.stop()
    assert thinking.gone() and hearing.gone()
    assert sorted((line['reason'], line['status']) for line in proxy.logged(2)) == [
        ('stopped', '0'), ('stopped', '200')]
