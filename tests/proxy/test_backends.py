# SPDX-License-Identifier: BSD-2-Clause
"""Which backend is asked, what happens when it cannot be reached, does not answer or goes away,
and which connections to it are kept."""
import contextlib
import select
import socket
import threading

import pytest
from actors import Broken, Origin, answers, await_until, chunks, get, ok

POST = get('/', 'Content-Length: 5', method='POST') + b'hello'


CHUNKED_POST = get('/', 'Transfer-Encoding: chunked', method='POST') + chunks(b'hel', b'lo')
LARGE_POST = get('/', 'Content-Length: 100000', method='POST') + b'x' * 100000


def named(name, *fields):
    return answers(ok(name.encode(), *fields))


def dead_origin():
    origin = Origin()
    origin.close()
    return origin


class Deaf:
    """Listens, with a queue that is full: connections to it are neither made nor refused."""

    def __init__(self):
        self.sockets = [socket.create_server(('127.0.0.1', 0), backlog=0)]
        self.address = '127.0.0.1:%d' % self.sockets[0].getsockname()[1]
        while self.fill():
            pass

    def fill(self):
        """On loopback a connection is made at once, or not at all."""
        self.sockets.append(socket.socket())
        self.sockets[-1].setblocking(False)
        self.sockets[-1].connect_ex(self.sockets[0].getsockname())
        return select.select([], self.sockets[-1:], [], 0)[1]

    def close(self):
        for s in self.sockets:
            s.close()


# ---- which one --------------------------------------------------------------------------

@pytest.mark.parametrize('weights, order', [
    ((1, 1, 1), 'abcabcabc'), ((5, 1, 1), 'aabacaa' * 2), ((1, 0, 2), 'caccac'), ((0, 0, 1), 'cccc')])
def test_turns_by_weight(stage, weights, order):
    origins = [stage.origin(named(name)) for name in 'abc']
    client = stage.proxy(*zip(origins, weights)).client()
    assert ''.join(client.ask(get()).body.decode() for _ in order) == order
    assert [len(o.conns) for o in origins] == [int(w > 0) for w in weights]


def test_all_of_weight_0(stage, origin):
    proxy = stage.proxy((origin, 0))
    assert proxy.ask().status == 503 and origin.untouched()
    assert proxy.logged(1)[0]['reason'] == 'no_backend'


# ---- not to be reached ------------------------------------------------------------------

@pytest.mark.parametrize('request_bytes', [POST, CHUNKED_POST, LARGE_POST],
                         ids=['length', 'chunked', 'large'])
def test_a_refused_connection_leads_to_the_next_backend(stage, request_bytes):
    """What was read of the body meanwhile goes there too, once."""
    alive = stage.origin(answers(lambda r: ok(b'alive ' + r.body)))
    proxy = stage.proxy(dead_origin(), dead_origin(), alive)
    for _ in range(6):
        body = proxy.ask(request_bytes).body
        assert body == b'alive ' + (b'x' * 100000 if request_bytes is LARGE_POST else b'hello')
    for line in proxy.logged(6):
        assert line['status'] == '200' and line['reason'] == 'ok', line
        assert line['upstream'] == alive.address() and line['retries'] == '0', line
    assert proxy.said().count('backend not reached') <= 2, 'they rest'


def test_no_backend_to_be_reached(stage):
    proxy = stage.proxy(dead_origin(), dead_origin())
    client = proxy.client()
    for _ in range(3):
        answer = client.ask(get())
        assert answer.status == 502 and answer['Connection'] == '' and answer.body
    assert {line['reason'] for line in proxy.logged(3)} == {'no_backend'}


def test_a_body_that_nobody_took_is_no_request(stage):
    client = stage.proxy(dead_origin()).client()
    body = get('/smuggled')
    client.send(get('/', f'Content-Length: {len(body)}', method='POST') + body)
    assert client.answer().status == 502
    with contextlib.suppress(OSError):
        client.send(get('/next', 'Connection: close'))
    assert client.rest().count(b'HTTP/1.1 ') <= 1


def test_a_backend_that_comes_back_is_asked(stage, origin):
    proxy, port = stage.proxy(origin), origin.port
    origin.close()
    assert proxy.ask().status == 502
    with socket.create_server(('127.0.0.1', port)) as again:
        client = proxy.client()
        client.send(get())
        again.accept()[0].sendall(ok(b'back'))
        assert client.answer().body == b'back'


def test_a_connection_that_is_not_made_in_time(stage):
    deaf = stage.add(Deaf())
    proxy = stage.proxy(deaf.address, service='connect_timeout = 300ms')
    client = proxy.client()
    for _ in range(2):
        answer = client.ask(get())
        assert answer.status == 504 and answer['Connection'] == ''
    line = proxy.logged(2)[0]
    assert line['reason'] == 'connect_timeout' and int(line['total_ms']) >= 300
    assert line['connect_ms'] == line['first_ms'] == '-1' and line['upstream'] == deaf.address


@pytest.mark.parametrize('request_bytes', [get(), POST], ids=['GET', 'POST'])
def test_after_a_connect_timeout_the_next_one_is_asked(stage, request_bytes):
    alive = stage.origin(named('alive'))
    proxy = stage.proxy(stage.add(Deaf()).address, alive, service='connect_timeout = 300ms')
    assert proxy.ask(request_bytes).body == b'alive'
    assert proxy.ask(request_bytes).body == b'alive'
    line = proxy.logged(2)[0]
    assert line['upstream'] == alive.address() and line['reason'] == 'ok'


# ---- no answer --------------------------------------------------------------------------

@pytest.mark.parametrize('sent', [b'', b'HTTP/1.1 103 Early Hints\r\n\r\n', ok(b'hello')[:20]],
                         ids=['nothing', 'an interim response', 'half a head'])
@pytest.mark.parametrize('request_bytes', [get(), POST], ids=['GET', 'POST'])
def test_an_answer_that_does_not_come_in_time(stage, origin, sent, request_bytes):
    proxy = stage.proxy(origin, service='response_timeout = 300ms')
    client = proxy.client()
    client.send(request_bytes)
    conn = origin.accept()
    conn.request()
    conn.send(sent)
    answer = client.answer()
    if answer.status == 103:
        answer = client.answer()
    assert answer.status == 504 and answer['Connection'] == '' and client.silent()
    assert conn.ended() and origin.accepts_nothing(), 'it is not repeated'
    line = proxy.logged(1)[0]
    assert line['reason'] == 'response_timeout' and line['upstream'] == origin.address()
    assert line['first_ms'] == '-1' and int(line['connect_ms']) >= 0


def test_a_body_that_does_not_go_on(stage, origin):
    proxy = stage.proxy(origin, service='body_timeout = 300ms')
    client = proxy.client()
    client.send(get())
    conn = origin.accept()
    conn.request()
    conn.send(ok(b'hello')[:-1])
    with pytest.raises(Broken):
        client.answer()
    assert conn.ended()
    line = proxy.logged(1)[0]
    assert line['reason'] == 'response_timeout' and line['status'] == '200'


def test_a_backend_that_does_not_read(stage):
    over = threading.Event()

    def story(conn):
        conn.until(b'\r\n\r\n')
        over.wait()
    proxy = stage.proxy(stage.origin(story, receive_buffer=4096), service='body_timeout = 300ms')
    client = proxy.client()
    client.send(get('/', 'Content-Length: 900000000', method='POST'))
    client.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        for _ in range(900):
            client.send(b'x' * 1000000)
    client.sock.settimeout(20)
    assert client.answer().status == 504
    over.set()
    assert proxy.logged(1)[0]['reason'] == 'response_timeout'


# ---- connections that are gone when they are used again ---------------------------------

def once_then(end):
    """A story: the first connection answers once and ends with its second request; the others
    answer all."""
    def story(conn):
        conn.request()
        conn.send(ok(b'first'))
        conn.request()
        if conn is not origin[0].conns[0]:
            conn.send(ok(b'again'))
            answers(ok(b'again'))(conn)
        getattr(conn, end)()
    origin = []
    return origin, story


@pytest.fixture(params=['close', 'reset'])
def stale(request, stage):
    """(client, proxy, origin): a pooled connection, which will end when it is used."""
    origin, story = once_then(request.param)
    origin.append(stage.origin(story))
    proxy = stage.proxy(origin[0])
    client = proxy.client()
    assert client.ask(get()).body == b'first'
    return client, proxy, origin[0]


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'OPTIONS', 'DELETE', 'PUT'])
def test_what_is_idempotent_is_sent_again(stale, method):
    client, proxy, origin = stale
    answer = client.ask(get('/again', method=method))
    assert answer.status == 200 and len(origin.conns) == 2
    assert f'{method} /again '.encode() in origin.conns[0].got
    assert f'{method} /again '.encode() in origin.conns[1].got
    line = proxy.logged(2)[1]
    assert line['retries'] == '1' and line['reason'] == 'ok'


@pytest.mark.parametrize('request_bytes', [
    POST, get('/', 'Content-Length: 0', method='POST'), get(method='PATCH'), get(method='PROPFIND'),
    get('/', 'Content-Length: 2', method='PUT') + b'ab',
], ids=['POST', 'POST of nothing', 'PATCH', 'unknown', 'PUT with a body'])
def test_what_may_have_had_its_effect_is_not_sent_again(stale, request_bytes):
    client, proxy, origin = stale
    answer = client.ask(request_bytes)
    assert answer.status == 502 and len(origin.conns) == 1
    line = proxy.logged(2)[1]
    assert line['retries'] == '0' and line['reason'] == 'backend_gone'
    assert client.ask(get()).body == b'first' and len(origin.conns) == 2


def test_it_is_sent_again_once(stage):
    def story(conn):
        if conn is origin.conns[0]:
            conn.request()
            conn.send(ok())
        conn.request()
    origin = stage.origin(story)
    proxy = stage.proxy(origin)
    client = proxy.client()
    assert client.ask(get()).status == 200
    assert client.ask(get()).status == 502
    assert len(origin.conns) == 2
    line = proxy.logged(2)[1]
    assert line['retries'] == '1' and line['reason'] == 'backend_gone'


def test_another_backend_is_asked_when_one_dies_with_the_request(stage):
    def dies(conn):
        conn.request()
    proxy = stage.proxy(stage.origin(dies), stage.origin(named('alive')))
    for _ in range(4):
        assert proxy.ask().body == b'alive'
    assert {line['reason'] for line in proxy.logged(4)} == {'ok'}


def test_nothing_is_sent_again_after_an_interim_response(stage):
    def story(conn):
        conn.request()
        conn.send(b'HTTP/1.1 103 Early Hints\r\n\r\n')
    origin = stage.origin(story)
    client = stage.proxy(origin, stage.origin(named('other'))).client()
    assert client.ask(get()).status == 103
    assert client.answer().status == 502 and len(origin.conns) == 1


def test_many_stale_connections_cost_one_repetition(stage):
    """A fresh one is made, whatever else is in the pool."""
    together = threading.Barrier(5)

    def story(conn):
        if len(origin.conns) <= 4:
            conn.request()
            together.wait()
            conn.send(ok())
            conn.request()
        else:
            answers(ok(b'fresh'))(conn)
    origin = stage.origin(story)
    proxy = stage.proxy(origin)
    clients = [proxy.client() for _ in range(4)]
    for client in clients:
        client.send(get())
    together.wait()
    for client in clients:
        assert client.answer().status == 200
    assert clients[0].ask(get()).body == b'fresh' and len(origin.conns) == 5


def test_a_connection_closed_by_the_origin_leaves_the_pool(stage, origin):
    proxy = stage.proxy(origin)
    client = proxy.client()
    client.send(get())
    conn = origin.accept()
    conn.request()
    conn.send(ok())
    assert client.answer().status == 200
    before = proxy.descriptors()
    conn.close()
    await_until(lambda: proxy.descriptors() == before - 1, 'the connection is closed')
    client.send(POST)
    conn = origin.accept()
    assert conn.request().body == b'hello'
    conn.send(ok())
    assert client.answer().status == 200


# ---- resets -----------------------------------------------------------------------------

CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
PHASES = {
    'accepted': (False, b''), 'request read': (True, b''),
    'interim': (True, b'HTTP/1.1 100 Continue\r\n\r\n'), 'half a head': (True, CHUNKED[:20]),
    'head': (True, CHUNKED), 'chunk': (True, CHUNKED + b'5\r\nhello\r\n'),
    'half a chunk': (True, CHUNKED + b'5\r\nhe'), 'last chunk': (True, CHUNKED + b'0\r\n'),
    'answered': (True, CHUNKED + b'0\r\n\r\n'), 'more': (True, ok() + b'x'),
}


@pytest.mark.parametrize('request_bytes', [get(), POST, POST[:-1]],
                         ids=['GET', 'POST', 'half a POST'])
def test_resets_at_every_phase(stage, origin, request_bytes):
    proxy = stage.proxy(origin)
    before = proxy.descriptors()
    for read, sent in PHASES.values():
        client = proxy.client()
        client.send(request_bytes)
        conn = origin.accept()
        if read:
            conn.until(request_bytes[-5:])
        conn.send(sent)
        conn.reset()
        client.half_close()
        client.gone()
        client.close()
    await_until(lambda: proxy.descriptors() == before, 'all connections are closed')
    client = proxy.client()
    client.send(get())
    origin.accept().send(ok(b'alive'))
    assert client.answer().body == b'alive'


# ---- what is kept -----------------------------------------------------------------------

def test_pooled_connections_grow_old(stage, origin):
    proxy = stage.proxy(origin, service='upstream_idle_timeout = 300ms')
    client = proxy.client()
    for _ in range(2):
        client.send(get())
        conn = origin.accept()
        conn.request()
        conn.send(ok())
        assert client.answer().status == 200 and conn.ended()


def test_a_pooled_connection_is_let_go_before_the_backend_closes_it(stage, origin):
    proxy = stage.proxy(origin)
    client = proxy.client()
    client.send(get())
    conn = origin.accept()
    conn.request()
    conn.send(ok(b'', 'Keep-Alive: max=9, timeout=1'))
    assert client.answer().status == 200 and conn.ended()


@pytest.mark.parametrize('said', ['', 'x', 'timeout', 'timeout=x', 'timeout=-1', 'timeout=99999999'])
def test_what_a_backend_says_of_its_patience_may_be_nonsense(stage, origin, said):
    proxy = stage.proxy(origin)
    client = proxy.client()
    client.send(get())
    conn = origin.accept()
    for _ in range(2):
        conn.request()
        conn.send(ok(b'', f'Keep-Alive: {said}'))
        assert client.answer().status == 200
        client.send(get())
    conn.request()
    conn.send(ok())


@pytest.mark.parametrize('most', [0, 2, 4])
def test_so_many_are_kept(stage, origin, most):
    proxy = stage.proxy(origin, service=f'upstream_idle_max = {most}')
    clients = [proxy.client() for _ in range(4)]
    conns = []
    for client in clients:
        client.send(get())
        conns.append(origin.accept())
    for conn in conns:
        conn.request()
        conn.send(ok())
    for client in clients:
        assert client.answer().status == 200
    for conn in conns[most:]:
        assert conn.ended()
    # The last one that came back is the first one to be used.
    for conn in reversed(conns[:most]):
        client = proxy.client()
        client.send(get('/kept'))
        assert conn.request().target == '/kept'
    assert origin.accepts_nothing()
