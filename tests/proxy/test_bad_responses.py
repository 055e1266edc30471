# SPDX-License-Identifier: BSD-2-Clause
"""Origins are not trusted either: a response that is malformed becomes 502, or breaks off where
it was begun, in a way that no client takes for its end. What an origin says beyond its response
reaches nobody."""
import pytest
from actors import Broken, chunks, get, ok, rows

# Without what never comes here, and what is too long for the limits of another test.
HEADS = [row for row in rows('bad_responses.txt')
         if row[0] != 'CONNECT' and row[1] != 'head-of-513-bytes']
CHUNKED_HEAD = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'


@pytest.fixture(scope='module')
def origin(long_stage):
    return long_stage.origin()


@pytest.fixture(scope='module')
def proxy(long_stage, origin):
    return long_stage.proxy(origin, service='max_head = 1k  max_fields = 8')


@pytest.fixture
def client(proxy):
    c = proxy.client()
    yield c
    c.close()


@pytest.fixture
def conn(origin, client):
    """The origin's end, of a request by the client that has arrived."""
    client.send(get('/first'))
    conn = origin.accept()
    assert conn.request().target == '/first'
    yield conn
    conn.close()
    assert origin.accepts_nothing()


def answers_next(origin, client, body=b'next'):
    """The client is served further, over a new connection to the origin."""
    client.send(get('/next'))
    conn = origin.accept()
    assert conn.request().target == '/next'
    conn.send(ok(body, 'Connection: close'))
    assert client.answer().body == body
    conn.close()


# ---- heads ------------------------------------------------------------------------------

@pytest.mark.parametrize('method, head', [(m, b) for m, _, b in HEADS],
                         ids=[name for _, name, _ in HEADS])
def test_a_bad_head(origin, client, method, head):
    client.send(get(method=method))
    conn = origin.accept()
    conn.request()
    conn.send(head)
    conn.half_close()  # some are bad because they end here
    answer = client.answer(method)
    assert answer.status == 502 and answer['Connection'] == '' and client.silent()
    assert conn.gone()
    answers_next(origin, client)


def test_there_are_enough_of_them():
    assert len(HEADS) >= 60


@pytest.mark.parametrize('response', [
    b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
    b'HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n' * 17,
    b'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n',
    b'HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello',
], ids=['101 unasked', 'too many interim', 'bad behind interim', 'body behind interim'])
def test_bad_interim_responses(client, conn, response):
    conn.send(response)
    while (answer := client.answer()).status < 200:
        pass
    assert answer.status == 502 and conn.gone()


def test_no_response_at_all(origin, client, conn):
    conn.close()
    assert client.answer().status == 502
    answers_next(origin, client)


@pytest.mark.parametrize('n', [1, 8, 17, 30])
def test_a_head_that_ends_early(origin, client, conn, n):
    conn.send(ok(b'hello')[:n])
    conn.close()
    assert client.answer().status == 502 and client.silent()
    answers_next(origin, client)


def test_a_reset_in_the_head(origin, client, conn):
    conn.send(ok(b'hello')[:20])
    conn.reset()
    assert client.answer().status == 502
    answers_next(origin, client)


# ---- bodies -----------------------------------------------------------------------------

BAD_CHUNKS = {
    'no size': b'\r\n', 'word': b'x\r\n', 'LF': b'5\n', 'minus': b'-1\r\n', 'hex': b'0x1\r\n',
    '18 digits': b'ffffffffffffffffff\r\n', '2^63': b'8000000000000000\r\n',
    'size too small': b'4\r\nhello', 'LF behind data': b'5\r\nhello\n', 'NUL': b'5;\0\r\n',
    'LF at the end': b'0\n\n', 'bad trailer': b'0\r\nno colon\r\n\r\n',
    'LF in trailer': b'0\r\nX: y\n\r\n', 'long extension': b'5;' + b'x' * 500,
    'long trailers': b'0\r\n' + b'X: y\r\n' * 2000,
}


@pytest.mark.parametrize('chunk', BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_a_bad_chunk_before_anything_was_sent(client, conn, chunk):
    conn.send(CHUNKED_HEAD + b'5\r\nhello\r\n' + chunk + ok(b'evil'))
    assert client.answer().status == 502 and client.silent() and conn.gone()


@pytest.mark.parametrize('chunk', BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_a_bad_chunk_after_good_ones_were_sent(client, conn, chunk):
    conn.send(CHUNKED_HEAD, b'5\r\nhello\r\n')
    assert client.until(b'5\r\nhello\r\n')
    conn.send(chunk, ok(b'evil'))
    with pytest.raises(Broken):
        client.chunked()
    assert b'evil' not in client.got and conn.gone()


@pytest.mark.parametrize('chunk', BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_a_bad_chunk_to_http_1_0(origin, client, chunk):
    """No framing is left that could be broken: a reset tells."""
    client.send(get(version='1.0'))
    conn = origin.accept()
    conn.request()
    conn.send(CHUNKED_HEAD, b'5\r\nhello\r\n')
    assert client.until(b'hello')
    conn.send(chunk)
    assert client.gone() == 'reset' and conn.gone()


CHUNKED = chunks(b'hello', b'x')


@pytest.mark.parametrize('n', range(len(CHUNKED)))
@pytest.mark.parametrize('end', ['close', 'reset'])
def test_chunks_that_end_early(client, conn, n, end):
    conn.send(CHUNKED_HEAD)
    assert client.until(b'\r\n\r\n')
    conn.send(CHUNKED[:n])
    getattr(conn, end)()
    with pytest.raises(Broken):
        client.chunked()
    assert client.gone()


@pytest.mark.parametrize('n', [0, 1, 4])
@pytest.mark.parametrize('end', ['close', 'reset'])
@pytest.mark.parametrize('version', ['1.0', '1.1'])
def test_a_length_that_is_not_reached(origin, client, n, end, version):
    client.send(get(version=version))
    conn = origin.accept()
    conn.request()
    conn.send(ok(b'hello')[:-5])
    assert client.until(b'\r\n\r\n')
    conn.send(b'hello'[:n])
    getattr(conn, end)()
    with pytest.raises(Broken):
        client.exactly(5)


@pytest.mark.parametrize('n', [0, 4])
def test_a_body_without_framing_that_is_reset(client, conn, n):
    conn.send(b'HTTP/1.1 200 OK\r\n\r\n')
    assert client.until(b'\r\n\r\n')
    conn.send(b'hello'[:n])
    conn.reset()
    with pytest.raises(Broken):
        client.chunked()


def test_a_body_without_framing_that_is_reset_to_http_1_0(origin, client):
    client.send(get(version='1.0'))
    conn = origin.accept()
    conn.request()
    conn.send(b'HTTP/1.1 200 OK\r\n\r\nhello')
    assert client.until(b'hello')
    conn.reset()
    assert client.gone() == 'reset'


# ---- more than was asked for ------------------------------------------------------------

EVIL = ok(b'evil')
WHOLE = [('length', ok(b'hello'), b'hello'), ('chunked', CHUNKED_HEAD + chunks(b'hello'), b'hello'),
         ('empty', ok(b''), b''), ('204', b'HTTP/1.1 204 No Content\r\n\r\n', b''),
         ('304', b'HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n', b'')]


@pytest.mark.parametrize('response, body', [w[1:] for w in WHOLE], ids=[w[0] for w in WHOLE])
@pytest.mark.parametrize('more', [EVIL, b'x', b'\r\n'], ids=['response', 'byte', 'line'])
def test_more_bytes_with_the_response(origin, proxy, client, conn, response, body, more):
    conn.send(response + more)
    assert client.answer().body == body
    assert conn.ended()
    other = proxy.client()
    answers_next(origin, other)
    answers_next(origin, client)


def test_a_body_behind_head(origin, client):
    client.send(get(method='HEAD'))
    conn = origin.accept()
    conn.request()
    conn.send(EVIL)
    assert client.answer('HEAD')['Content-Length'] == '4' and conn.ended()
    answers_next(origin, client)


@pytest.mark.parametrize('more', [EVIL, b'x'], ids=['response', 'byte'])
def test_more_bytes_between_two_requests(origin, client, conn, more):
    conn.send(ok(b'hello'))
    assert client.answer().body == b'hello'
    conn.send(more)
    assert conn.ended()
    answers_next(origin, client)


@pytest.mark.parametrize('size', [16383, 16384, 16385, 32768, 65536])
@pytest.mark.parametrize('framing', ['length', 'chunked'])
def test_more_bytes_just_behind_a_full_buffer(origin, proxy, client, conn, size, framing):
    """A read that the response filled to the last byte does not see that there is more."""
    head, end = (ok(b'x' * 16000)[:-16000], b'') if framing == 'length' else (
        CHUNKED_HEAD + b'%04x\r\n' % 16000, b'\r\n0\r\n\r\n')
    body = b'x' * (size - len(head) - len(end))
    head = head.replace(b'16000', b'%d' % len(body)).replace(b'3e80', b'%04x' % len(body))
    conn.send(head + body + end + EVIL)
    assert client.answer().body == body
    other = proxy.client()
    answers_next(origin, other)
    assert conn.ended()
