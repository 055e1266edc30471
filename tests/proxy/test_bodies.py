# SPDX-License-Identifier: BSD-2-Clause
"""Bodies from end to end, in every framing and both ways: content as it was sent, framing made
anew, memory that does not grow with them, answers that do not wait for the request's end."""
import contextlib
import random
import threading

import pytest
from actors import DEADLINE, answers, chunks, get, ok, sanitized

BLOCK = bytes(random.Random(83).randbytes(1 << 18))


@pytest.fixture
def proxy(stage, origin):
    return stage.proxy(origin, service='max_body = 100  response_timeout = 5s')


@pytest.fixture
def client(proxy):
    return proxy.client()


def post(*fields, version='1.1'):
    return get('/', *fields, method='POST', version=version)


# ---- requests ---------------------------------------------------------------------------

@pytest.mark.parametrize('method', ['POST', 'GET', 'DELETE'])
def test_a_request_with_length(origin, client, method):
    client.send(get('/1', 'Content-Length: 5', method=method), b'hello', get('/2'))
    conn = origin.accept()
    assert conn.request().body == b'hello' and conn.silent()
    conn.send(ok())
    assert client.answer().status == 200 and conn.request().target == '/2'


def test_a_request_of_no_bytes_says_so(origin, client):
    client.send(post('Content-Length: 00'))
    assert origin.accept().request()['Content-Length'] == '0'


def test_a_chunked_request_comes_in_other_chunks(origin, client):
    client.send(post('Transfer-Encoding: Chunked', 'Trailer: X'),
                b'5;name=value\r\nhello\r\n', b'00001;x="y"\r\n \r\n', b'5\r\nworld\r\n',
                b'0;last\r\nX-Trailer: gone\r\n\r\n', get('/2'))
    conn = origin.accept()
    request = conn.request()
    assert request.body == b'hello world' and request['Content-Length'] == ''
    assert request['Transfer-Encoding'] == 'chunked' and request['Trailer'] == ''
    assert b'X-Trailer' not in conn.got and b';' not in conn.got
    conn.send(ok())
    assert client.answer().status == 200 and conn.request().target == '/2'


def test_a_chunked_request_in_single_bytes(origin, client):
    client.send(post('Transfer-Encoding: chunked'))
    conn = origin.accept()
    for byte in chunks(b'hello', b'x' * 17):
        client.send(bytes([byte]))
    assert conn.request().body == b'hello' + b'x' * 17


def test_each_part_goes_on_when_it_comes(origin, client):
    client.send(post('Content-Length: 10'), b'hello')
    conn = origin.accept()
    assert conn.until(b'\r\n\r\nhello') and conn.silent()
    client.send(b'world')
    assert conn.exactly(5) == b'world'
    conn.send(b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab')
    assert client.until(b'\r\n\r\nab') and client.silent()
    conn.send(b'cd')
    assert client.exactly(2) == b'cd'


# ---- responses --------------------------------------------------------------------------

def test_a_chunked_response_comes_in_other_chunks(origin, client):
    client.send(get())
    conn = origin.accept()
    conn.request()
    conn.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\nTrailer: X\r\n\r\n'
              b'5;a=b\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX: gone\r\n\r\n')
    answer = client.answer()
    assert answer.body == b'hello world' and answer['Trailer'] == ''
    assert b'gone' not in client.got and b';' not in client.got
    client.send(get('/2'))
    assert conn.request().target == '/2'


def test_a_chunked_response_in_single_bytes(origin, client):
    client.send(get())
    conn = origin.accept()
    conn.request()
    for byte in b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' + chunks(b'hello', b'you'):
        conn.send(bytes([byte]))
    assert client.answer().body == b'helloyou'


def test_a_chunked_response_to_http_1_0(origin, client):
    client.send(get('/', 'Connection: keep-alive', version='1.0'))
    conn = origin.accept()
    conn.request()
    conn.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' + chunks(b'hello', b'you'))
    answer = client.answer()
    assert answer['Transfer-Encoding'] == '' and answer['Connection'] == 'close'
    assert answer.body == b'helloyou' and conn.silent()


def test_a_response_that_ends_with_its_connection(origin, client):
    client.send(get('/1'))
    conn = origin.accept()
    conn.request()
    conn.send(b'HTTP/1.1 200 OK\r\n\r\nhello')
    assert b'Transfer-Encoding: chunked\r\n' in client.until(b'\r\n\r\n')
    assert client.until(b'hello') == b'5\r\nhello'
    conn.close()
    assert client.exactly(7) == b'\r\n0\r\n\r\n'
    client.send(get('/2'))
    assert origin.accept().request().target == '/2'


def test_a_response_that_ends_with_its_connection_to_http_1_0(origin, client):
    client.send(get(version='1.0'))
    conn = origin.accept()
    conn.request()
    conn.send(b'HTTP/1.0 200 OK\r\n\r\nhello')
    conn.close()
    answer = client.answer()
    assert answer.body == b'hello' and answer['Connection'] == 'close'


def test_an_empty_response_that_ends_with_its_connection(origin, client):
    client.send(get())
    conn = origin.accept()
    conn.request()
    conn.send(b'HTTP/1.1 200 OK\r\n\r\n')
    conn.close()
    assert client.answer().body == b''


SIZES = [0, 1, 2, 16368, 16383, 16384, 16385, 40000, 100001]


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('framing', ['length', 'chunked', 'close'])
def test_sizes_around_a_buffer(stage, framing, size):
    """The same bytes go up and come down, in one connection where the framing allows."""
    def echo(conn):
        while True:
            body = conn.request().body
            if framing == 'length':
                conn.send(ok(body))
            elif framing == 'chunked':
                conn.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
                          chunks(*filter(None, [body[:777], body[777:]])))
            else:
                conn.send(b'HTTP/1.1 200 OK\r\n\r\n', body)
                return
    origin = stage.origin(echo)
    client = stage.proxy(origin).client()
    body = BLOCK[:size]
    for _ in range(2):
        assert client.ask(post(f'Content-Length: {size}'), body).body == body
        assert client.ask(post('Transfer-Encoding: chunked'),
                          chunks(*filter(None, [body[:5000], body[5000:]]))).body == body
    assert len(origin.conns) == (4 if framing == 'close' else 1)


# ---- large ones -------------------------------------------------------------------------

LARGE = BLOCK * 256  # 64 MiB
FRAMED = {
    'length': (f'Content-Length: {len(LARGE)}', LARGE),
    'chunked': ('Transfer-Encoding: chunked', chunks(*[BLOCK] * 256)),
}


@pytest.fixture
def watch():
    """Memory of the worker has not grown by much meanwhile."""
    @contextlib.contextmanager
    def watching(proxy):
        proxy.ask()  # what is made once
        before = proxy.memory('VmHWM')
        yield
        assert sanitized() or proxy.memory('VmHWM') - before < 4096
    return watching


@pytest.mark.parametrize('framing', FRAMED)
def test_a_large_request_takes_no_memory(stage, watch, framing):
    field, body = FRAMED[framing]
    origin = stage.origin(answers(lambda r: ok(b'yes' if r.body == LARGE else b'no')))
    proxy = stage.proxy(origin, service='max_body = 64m')
    with watch(proxy):
        assert proxy.ask(post(field), body).body == b'yes'


@pytest.mark.parametrize('version', ['1.1', '1.0'])
@pytest.mark.parametrize('framing', [*FRAMED, 'close'])
def test_a_large_response_takes_no_memory(stage, watch, framing, version):
    field, body = FRAMED.get(framing, ('X: y', LARGE))
    origin = stage.origin(answers(lambda r: ok() if r.method == 'GET' else
                                  f'HTTP/1.1 200 OK\r\n{field}\r\n\r\n'.encode() + body, times=2))
    proxy = stage.proxy(origin)
    with watch(proxy):
        assert proxy.ask(post(version=version)).body == LARGE


def fill(wire):
    """Sends until nobody takes more."""
    wire.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        for _ in range(256):
            wire.send(BLOCK)


def test_a_slow_reader_holds_the_origin_back(stage, watch):
    def story(conn):
        conn.request()
        conn.send(ok())
        conn.request()
        conn.send(f'HTTP/1.1 200 OK\r\nContent-Length: {len(LARGE)}\r\n\r\n'.encode())
        fill(conn)
        full.set()
        over.wait()
    full, over = threading.Event(), threading.Event()
    proxy = stage.proxy(stage.origin(story))
    client = proxy.client(receive_buffer=4096)
    with watch(proxy):
        client.send(get())
        assert full.wait(DEADLINE)
        assert proxy.ask(get(method='TRACE')).status == 405  # others are served
    over.set()


def test_a_slow_origin_holds_the_client_back(stage, watch):
    def story(conn):
        conn.request()
        conn.send(ok())
        conn.until(b'\r\n\r\n')
        over.wait()
    over = threading.Event()
    proxy = stage.proxy(stage.origin(story, receive_buffer=4096))
    client = proxy.client()
    with watch(proxy):
        client.send(post(f'Content-Length: {len(LARGE)}'))
        fill(client)
    over.set()


# ---- limits, early answers --------------------------------------------------------------

def test_a_length_beyond_the_limit(origin, client):
    answer = client.ask(post('Content-Length: 101'), b'x' * 101)
    assert answer.status == 413 and answer['Connection'] == 'close'
    assert client.ended() and origin.untouched()


def test_chunks_beyond_the_limit(origin, client):
    client.send(post('Transfer-Encoding: chunked'), chunks(b'x' * 60, end=b''))
    conn = origin.accept()
    assert conn.until(b'x\r\n')
    client.send(chunks(b'x' * 41))
    answer = client.answer()
    assert answer.status == 413 and answer['Connection'] == 'close' and client.ended()
    assert b'\r\n0\r\n' not in conn.got and conn.gone()


@pytest.mark.parametrize('request_of_100', [
    (post('Content-Length: 100'), b'x' * 100),
    (post('Transfer-Encoding: chunked'), chunks(b'x' * 60, b'x' * 40))])
def test_bodies_up_to_the_limit(origin, client, request_of_100):
    client.send(*request_of_100)
    conn = origin.accept()
    assert conn.request().body == b'x' * 100
    conn.send(ok())
    assert client.answer().status == 200


def test_a_client_that_goes_on_sending_gets_the_refusal(origin, client):
    """Closing at once would reset the connection, and the answer would be lost."""
    client.send(post(f'Content-Length: {len(LARGE)}'))
    client.send(LARGE[:8 << 20])
    assert client.answer().status == 413 and origin.untouched()


def test_an_answer_before_the_end_of_the_request(stage, origin):
    client = stage.proxy(origin).client()
    client.send(post('Content-Length: 1000000'), b'hello')
    conn = origin.accept()
    conn.until(b'hello')
    conn.send(ok(b'enough', start='HTTP/1.1 403 Forbidden'))
    answer = client.answer()
    assert answer.status == 403 and answer.body == b'enough' and answer['Connection'] == 'close'
    client.send(b'x' * 1000)
    assert client.ended() and conn.ended()


def test_an_answer_in_parts_while_the_request_still_comes(stage, origin):
    client = stage.proxy(origin).client()
    client.send(post('Transfer-Encoding: chunked'), b'5\r\nhello\r\n')
    conn = origin.accept()
    assert conn.until(b'hello\r\n')
    conn.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', b'2\r\nab\r\n')
    assert client.until(b'2\r\nab\r\n')
    client.send(b'5\r\nworld\r\n0\r\n\r\n')
    assert conn.until(b'world\r\n0\r\n\r\n')
    conn.send(b'2\r\ncd\r\n0\r\n\r\n')
    assert client.until(b'2\r\ncd\r\n0\r\n\r\n')


def test_an_origin_that_answers_and_closes_without_reading(stage):
    def story(conn):
        conn.until(b'\r\n\r\n')
        conn.send(ok(b'enough', 'Connection: close', start='HTTP/1.1 403 Forbidden'))
        conn.half_close()
        conn.gone()
    client = stage.proxy(stage.origin(story)).client()
    client.send(post('Content-Length: 1000000'), BLOCK, BLOCK)
    assert client.answer().body == b'enough'
