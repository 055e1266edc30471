# SPDX-License-Identifier: BSD-2-Clause
"""Bodies that wait in the proxy: of requests so that a slow client holds no backend, of responses
so that a slow reader does not. Both have bounds."""
import contextlib
import socket
import threading

import pytest
from actors import chunks, get, ok, sanitized

HELLO = ok(b'hello')
SIZE = 12 << 20  # more than the kernel holds on the way
LARGE = bytes(range(256)) * (SIZE // 256)


def post(*fields, method='POST'):
    return get('/', *fields, method=method)


def settled(proxy, origin):
    """Whatever was sent before has been read: another request went through meanwhile."""
    client = proxy.client()
    client.send(get('/settled'))
    conn = origin.accept()
    assert conn.request().target == '/settled'
    conn.send(ok(b'', 'Connection: close'))
    assert client.answer().status == 200
    conn.close()


# ---- requests ---------------------------------------------------------------------------

FRAMINGS = {'length': (['Content-Length: 10'], b'hello', b'world'),
            'chunked': (['Transfer-Encoding: chunked'], b'5\r\nhello\r\n', b'5\r\nworld\r\n0\r\n\r\n')}


@pytest.mark.parametrize('fields, first, second', FRAMINGS.values(), ids=FRAMINGS)
def test_a_slow_client_holds_no_backend(stage, origin, fields, first, second):
    proxy = stage.proxy(origin, service='request_buffer = 64k')
    client = proxy.client()
    for _ in range(2):
        client.send(post(*fields), first)
        settled(proxy, origin)
        assert origin.accepts_nothing()
        client.send(second)
        conn = origin.accept()
        assert conn.request().body == b'helloworld'
        conn.send(ok(b'hello', 'Connection: close'))
        assert client.answer().body == b'hello'
        conn.close()


def test_a_long_head_brings_much_of_its_body(stage, origin):
    """What came with it is more than one read brings otherwise."""
    client = stage.proxy(origin, service='request_buffer = 256k  max_head = 64k').client()
    body = LARGE[:200000]
    client.send(post('X: ' + 'x' * 33000, f'Content-Length: {len(body)}'), body)
    conn = origin.accept()
    assert conn.request().body == body
    conn.send(ok(b'hello'))
    assert client.answer().body == b'hello'


@pytest.mark.parametrize('size', [16000, 65535, 65536, 300000])
@pytest.mark.parametrize('framing', ['length', 'chunked'])
def test_a_longer_body_comes_through(stage, origin, framing, size):
    client = stage.proxy(origin, service='request_buffer = 64k').client()
    body = LARGE[:size]
    if framing == 'length':
        client.send(post(f'Content-Length: {size}'), body)
    else:
        client.send(post('Transfer-Encoding: chunked'),
                    chunks(*(body[n:n + 5000] for n in range(0, size, 5000))))
    conn = origin.accept()
    assert conn.request().body == body
    conn.send(HELLO)
    assert client.answer().body == b'hello'
    client.send(get('/next'))
    assert conn.request().target == '/next'


def test_a_backend_is_asked_when_the_bound_is_reached(stage, origin):
    client = stage.proxy(origin, service='request_buffer = 64k').client()
    client.send(post('Content-Length: 100000'), b'x' * 70000)
    conn = origin.accept()
    conn.until(b'\r\n\r\n')
    conn.exactly(70000)
    client.send(b'x' * 30000)
    conn.exactly(30000)
    conn.send(HELLO)
    assert client.answer().status == 200


def test_without_memory_it_comes_through_too(stage, origin):
    proxy = stage.proxy(origin, service='request_buffer = 1m', daemon='buffer_memory = 0')
    client = proxy.client()
    client.send(post('Content-Length: 100000'), b'x' * 50000)
    conn = origin.accept()
    conn.until(b'\r\n\r\n')
    conn.exactly(50000)
    client.send(b'x' * 50000)
    conn.exactly(50000)
    conn.send(HELLO)
    assert client.answer().status == 200


def test_who_expects_100_gets_it_here(stage, origin):
    client = stage.proxy(origin, service='request_buffer = 64k').client()
    client.send(post('Expect: 100-continue', 'Content-Length: 5'))
    assert client.answer().status == 100 and origin.untouched()
    client.send(b'hello')
    conn = origin.accept()
    request = conn.request()
    assert request.body == b'hello' and request['Expect'] == ''
    conn.send(HELLO)
    assert client.answer().status == 200


@pytest.mark.parametrize('method, repeated', [('PUT', True), ('POST', False)])
def test_a_body_that_is_whole_can_be_sent_again(stage, origin, method, repeated):
    other = stage.origin()
    proxy = stage.proxy(origin, other, service='request_buffer = 64k')
    client = proxy.client()
    body = LARGE[:40000]
    client.send(post('Content-Length: 40000', method=method), body)
    conn = origin.accept()
    assert conn.request().body == body
    conn.close()
    if repeated:
        conn = other.accept()
        assert conn.request().body == body
        conn.send(HELLO)
    assert client.answer().status == (200 if repeated else 502)
    assert proxy.logged(1)[0]['retries'] == ('1' if repeated else '0')


@pytest.mark.parametrize('sent, status, reason', [
    (post('Content-Length: 5') + b'hell', 408, 'client_timeout'),
    (post('Transfer-Encoding: chunked'), 408, 'client_timeout'),
    (post('Transfer-Encoding: chunked') + b'5\r\nhelloX', 400, 'refused'),
    (post('Transfer-Encoding: chunked') + chunks(b'x' * 2000), 413, 'refused')],
    ids=['length', 'no byte', 'bad chunk', 'too much'])
def test_no_backend_hears_of_what_does_not_become_whole(stage, origin, sent, status, reason):
    proxy = stage.proxy(origin, service='request_buffer = 64k  body_timeout = 300ms  max_body = 1k')
    client = proxy.client()
    client.send(sent)
    assert client.answer().status == status and client.ended() and origin.untouched()
    assert proxy.logged(1)[0]['reason'] == reason


@pytest.mark.parametrize('end', ['reset', 'half_close'])
def test_a_client_that_goes_in_its_body(stage, origin, end):
    proxy = stage.proxy(origin, service='request_buffer = 64k')
    client = proxy.client()
    client.send(post('Content-Length: 5'), b'he')
    getattr(client, end)()
    assert proxy.logged(1)[0]['reason'] == 'client_gone' and origin.untouched()


def test_pipelined_bodies(stage, origin):
    client = stage.proxy(origin, service='request_buffer = 64k').client()
    client.send(post('Content-Length: 3'), b'one', post('Transfer-Encoding: chunked'),
                chunks(b'two'), get('/three'))
    conn = origin.accept()
    for body in (b'one', b'two', b''):
        assert conn.request().body == body
        conn.send(HELLO)
        assert client.answer().body == b'hello'


# ---- responses --------------------------------------------------------------------------

def response(framing):
    if framing == 'length':
        return ok(LARGE)
    return b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' + chunks(
        *(LARGE[n:n + 70000] for n in range(0, SIZE, 70000)))


@pytest.mark.parametrize('framing', ['length', 'chunked'])
def test_a_slow_reader_holds_no_backend(stage, origin, framing):
    """All of the response is taken while the client has read nothing; the backend serves on."""
    proxy = stage.proxy(origin, service='response_buffer = 16m')
    slow, other = proxy.client(receive_buffer=4096), proxy.client()
    slow.send(get('/slow'))
    conn = origin.accept()
    conn.request()
    conn.send(response(framing))
    assert served(other, conn) and slow.silent() is False
    assert slow.answer().body == LARGE
    assert len(proxy.logged(2)) == 2


def served(client, conn):
    client.send(get('/other'))
    assert conn.request().target == '/other'
    conn.send(HELLO)
    assert client.answer().body == b'hello'
    return True


@pytest.mark.parametrize('service, daemon', [
    ('response_buffer = 0', ''), ('response_buffer = 64k', ''),
    ('response_buffer = 16m', 'buffer_memory = 128k')], ids=['none', 'small', 'no memory'])
def test_beyond_the_bound_the_backend_waits(stage, origin, service, daemon):
    proxy = stage.proxy(origin, service=service, daemon=daemon)
    slow = proxy.client(receive_buffer=4096)
    before = proxy.memory()
    slow.send(get())
    conn = origin.accept()
    conn.request()
    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    conn.sock.settimeout(0.5)
    sent, whole = 0, response('length')
    with contextlib.suppress(TimeoutError):
        while sent < len(whole):
            sent += conn.sock.send(whole[sent:sent + 65536])
    assert sent < len(whole)
    assert sanitized() or proxy.memory() - before < 2048
    conn.sock.settimeout(20)
    slow_answer = []
    # The rest goes as the reader reads.
    reader = threading.Thread(target=lambda: slow_answer.append(slow.answer()))
    reader.start()
    conn.send(whole[sent:])
    reader.join()
    assert slow_answer[0].body == LARGE


def test_memory_of_many_slow_readers_is_bounded(stage, origin):
    proxy = stage.proxy(origin, service='response_buffer = 16m', daemon='buffer_memory = 4m')
    before, pairs = proxy.memory(), []
    for _ in range(6):
        client = proxy.client(receive_buffer=4096)
        client.send(get())
        conn = origin.accept()
        conn.request()
        conn.sock.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            conn.sock.sendall(response('length'))
        pairs.append((client, conn))
    assert sanitized() or proxy.memory() - before < 8 << 10
    for client, _ in pairs:
        client.reset()
    settled(proxy, origin)
