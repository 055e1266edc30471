# SPDX-License-Identifier: BSD-2-Clause
"""Fields behind a chunked body (RFC 9110 section 6.5): to whom they go, and which."""
import pytest
from actors import chunks, get, ok

CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Grpc-Status\r\n\r\n'
SECTION = b'Grpc-Status: 0\r\nX-Sum:  1 \r\n'
EVIL = (b'Content-Length: 5\r\nHost: evil\r\nX-Forwarded-For: 6.6.6.6\r\nSet-Cookie: x\r\n'
        b'Transfer-Encoding: chunked\r\nAuthorization: x\r\nConnection: close\r\n')


def end(section):
    return b'0\r\n' + section + b'\r\n'


@pytest.fixture
def client(stage, origin):
    return stage.proxy(origin).client()


def asked(origin, client, *fields, **kind):
    client.send(get('/', *fields, **kind))
    conn = origin.accept()
    return conn, conn.request()


def test_they_go_to_who_reads_them(origin, client):
    conn, request = asked(origin, client, 'TE: trailers', 'Connection: TE')
    assert request['TE'] == 'trailers' and request['Connection'] == 'TE'
    conn.send(CHUNKED, chunks(b'hello', end=end(SECTION + EVIL)))
    assert b'\r\nTrailer: Grpc-Status\r\n' in client.until(b'\r\n\r\n')
    assert client.until(b'X-Sum: 1\r\n\r\n') == (
        b'5\r\nhello\r\n0\r\nGrpc-Status: 0\r\nX-Sum: 1\r\n\r\n')
    client.send(get('/next'))
    assert conn.request().target == '/next'


def test_they_come_in_single_bytes(origin, client):
    conn, _ = asked(origin, client, 'TE: trailers')
    conn.send(CHUNKED)
    for byte in chunks(b'hello', end=end(SECTION + EVIL)):
        conn.send(bytes([byte]))
    client.until(b'\r\n\r\n')
    assert client.until(b'\r\n\r\n').endswith(b'0\r\nGrpc-Status: 0\r\nX-Sum: 1\r\n\r\n')


def test_a_long_section(origin, client):
    section = b''.join(b'X-%d: %s\r\n' % (n, b'y' * 90) for n in range(78))
    conn, _ = asked(origin, client, 'TE: trailers')
    conn.send(CHUNKED, chunks(b'x' * 16000, end=end(section)))
    client.until(b'\r\n\r\n')
    assert client.until(b'\r\n\r\n').endswith(b'0\r\n' + section + b'\r\n')


@pytest.mark.parametrize('fields, version', [([], '1.1'), (['TE: gzip'], '1.1'),
                                             (['TE: trailers'], '1.0')])
def test_they_are_dropped_for_who_does_not(origin, client, fields, version):
    conn, request = asked(origin, client, *fields, version=version)
    assert request['TE'] == request['Connection'] == ''
    conn.send(CHUNKED, chunks(b'hello', end=end(SECTION)))
    answer = client.answer()
    assert answer.body == b'hello' and answer['Trailer'] == ''
    if version == '1.0':
        assert client.ended()


def test_a_response_that_is_not_chunked_promises_none(origin, client):
    conn, _ = asked(origin, client, 'TE: trailers')
    conn.send(ok(b'hello', 'Trailer: X'))
    assert client.answer()['Trailer'] == ''


BODY = chunks(b'hello', end=end(SECTION + EVIL))


def test_those_of_a_request_stay_here(origin, client):
    client.send(get('/', 'Transfer-Encoding: chunked', 'Trailer: X-Sum', method='POST'), BODY)
    conn = origin.accept()
    request = conn.request()
    assert request.body == b'hello' and request['Trailer'] == ''


def test_those_of_a_request_go_on_where_that_is_wanted(stage, origin):
    client = stage.proxy(origin, service='request_trailers = yes').client()
    client.send(get('/', 'Transfer-Encoding: chunked', 'Trailer: X-Sum', method='POST'), BODY)
    conn = origin.accept()
    assert b'\r\nTrailer: X-Sum\r\n' in conn.until(b'\r\n\r\n')
    assert conn.until(b'\r\n\r\n') == (
        b'5\r\nhello\r\n0\r\nGrpc-Status: 0\r\nX-Sum: 1\r\n\r\n')
    conn.send(ok(b'hello'))
    assert client.answer().status == 200
