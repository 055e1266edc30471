# SPDX-License-Identifier: BSD-2-Clause
"""Connections that go on with another protocol: WebSocket, where the service allows it, and
nothing else. Then the proxy carries bytes, and is as brief as both sides are."""
import contextlib

import pytest
from actors import Broken, await_until, get, ok, sanitized

ASK = get('/chat', 'Connection: keep-alive, Upgrade', 'Upgrade: websocket',
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13')
AGREE = (b'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
         b'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n')
BLOCK = b'x' * (1 << 20)


@pytest.fixture
def proxy(stage, origin):
    return stage.proxy(origin, service='websocket = yes  tunnel_timeout = 10s')


@pytest.fixture
def client(proxy):
    return proxy.client()


def tunnel(origin, client, early=b'', first=b''):
    client.send(ASK, early)
    conn = origin.accept()
    conn.until(b'\r\n\r\n')
    conn.send(AGREE, first)
    assert client.answer().status == 101
    return conn


def test_both_heads(origin, client):
    client.send(ASK)
    conn = origin.accept()
    request = conn.request()
    assert request['Upgrade'] == 'websocket' and request['Connection'] == 'upgrade'
    assert request['Sec-WebSocket-Key'] == 'dGhlIHNhbXBsZSBub25jZQ=='
    conn.send(AGREE)
    answer = client.answer()
    assert answer.start == 'HTTP/1.1 101 Switching Protocols'
    assert answer['Upgrade'] == 'websocket' and answer['Connection'] == 'upgrade'
    assert answer['Sec-WebSocket-Accept'] == 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    assert answer['Content-Length'] == answer['Transfer-Encoding'] == ''


def test_bytes_go_both_ways(origin, client):
    conn = tunnel(origin, client)
    for n in range(50):
        client.send(b'\0ask%03d' % n)
        assert conn.exactly(7) == b'\0ask%03d' % n
        conn.send(b'answer%03d\r\n\r\n' % n)
        assert client.exactly(13) == b'answer%03d\r\n\r\n' % n


def test_what_looks_like_http_is_only_bytes(origin, client):
    conn = tunnel(origin, client)
    client.send(get('/evil'))
    assert conn.exactly(len(get('/evil'))) == get('/evil') and origin.accepts_nothing()


def test_bytes_that_come_with_the_heads(origin, client):
    conn = tunnel(origin, client, early=b'early', first=b'first')
    assert conn.exactly(5) == b'early' and client.exactly(5) == b'first'


def test_much_goes_both_ways_at_once(stage):
    def story(conn):
        conn.until(b'\r\n\r\n')
        conn.send(AGREE)
        while data := conn.more():
            conn.send(data)
            conn.at = len(conn.got)
        conn.half_close()

    proxy = stage.proxy(stage.origin(story), service='websocket = yes')
    client = proxy.client()
    client.send(ASK)
    assert client.answer().status == 101
    for _ in range(16):
        client.send(BLOCK)
        assert client.exactly(len(BLOCK)) == BLOCK
    client.half_close()
    assert client.rest() == b''
    line = proxy.logged(1)[0]
    assert line['status'] == '101' and line['reason'] == 'ok' and int(line['bytes']) > 16 << 20


@pytest.mark.parametrize('first', ['client', 'origin'])
def test_one_side_ends_and_still_hears(proxy, origin, client, first):
    conn = tunnel(origin, client)
    one, other = (client, conn) if first == 'client' else (conn, client)
    one.send(b'last')
    one.half_close()
    assert other.rest() == b'last'
    for n in range(3):
        other.send(b'still%d' % n)
        assert one.exactly(6) == b'still%d' % n
    other.half_close()
    assert one.rest() == b''
    assert proxy.logged(1)[0]['reason'] == 'ok'


@pytest.mark.parametrize('who, reason', [('client', 'client_gone'), ('origin', 'backend_gone')])
def test_a_reset_goes_on(proxy, origin, client, who, reason):
    conn = tunnel(origin, client)
    one, other = (client, conn) if who == 'client' else (conn, client)
    one.reset()
    assert other.gone() == 'reset'
    assert proxy.logged(1)[0]['reason'] == reason


@pytest.mark.parametrize('half', ['', 'client', 'origin'])
def test_a_silent_tunnel_ends(stage, origin, half):
    proxy = stage.proxy(origin, service='websocket = yes  tunnel_timeout = 400ms')
    client = proxy.client()
    conn = tunnel(origin, client)
    if half:
        (client if half == 'client' else conn).half_close()
    assert client.gone() == conn.gone() == 'fin'
    line = proxy.logged(1)[0]
    assert line['reason'] == 'tunnel_idle' and line['status'] == '101'


def test_a_silent_tunnel_holds_no_buffer(stage, origin):
    n = 300
    proxy = stage.proxy(origin, service='websocket = yes')
    tunnel(origin, proxy.client())
    before = proxy.memory()
    pairs = []
    for _ in range(n):
        client = proxy.client()
        conn = tunnel(origin, client)
        pairs.append((client, conn))
        client.send(b'x')
        assert conn.exactly(1)
        conn.send(b'y')
        assert client.exactly(1)
    assert sanitized() or proxy.memory() - before < 4 * n  # KiB


def test_a_reader_that_stopped_holds_the_other_back(stage, origin):
    proxy = stage.proxy(origin, service='websocket = yes')
    client = proxy.client(receive_buffer=4096)
    conn = tunnel(origin, client)
    before = proxy.memory()
    conn.sock.settimeout(0.3)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:
            sent += conn.sock.send(BLOCK)
    assert proxy.memory() - before < 1024
    conn.sock.settimeout(20)
    conn.half_close()
    assert len(client.rest()) == sent


# ---- no tunnel --------------------------------------------------------------------------

def test_another_answer_is_an_answer(origin, client):
    client.send(ASK)
    conn = origin.accept()
    conn.request()
    conn.send(ok(b'no', 'Upgrade: websocket', 'Connection: upgrade',
                 start='HTTP/1.1 426 Upgrade Required'))
    answer = client.answer()
    assert answer.status == 426 and answer['Upgrade'] == answer['Connection'] == ''
    client.send(get('/next'))
    assert conn.request().target == '/next'


@pytest.mark.parametrize('head', [
    AGREE.replace(b'Upgrade: websocket', b'Upgrade: h2c'),
    AGREE.replace(b'Upgrade: websocket', b'X: y'),
    AGREE.replace(b'Connection: Upgrade', b'Connection: close'),
    AGREE.replace(b'Upgrade: websocket', b'Upgrade: websocket\r\nUpgrade: websocket'),
    AGREE.replace(b'Upgrade: websocket', b'Upgrade: websocket, h2c'),
    AGREE.replace(b's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', b'ICX+Yqv66kxgM0FcWaLWlFLwTAI='),
    AGREE.replace(b's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', b's3pPLMBiTxaQ9kYGzzhZRbK+xOO='),
    AGREE.replace(b'Sec-WebSocket-Accept', b'X-Accept')],
    ids=['another protocol', 'none', 'not of this connection', 'twice', 'two', 'of another key',
         'almost', 'of no key'])
def test_an_agreement_to_something_else(origin, client, head):
    client.send(ASK)
    conn = origin.accept()
    conn.request()
    conn.send(head)
    assert client.answer().status == 502 and conn.gone()


@pytest.mark.parametrize('request_bytes', [
    ASK.replace(b'GET', b'POST'),
    ASK.replace(b'HTTP/1.1', b'HTTP/1.0'),
    ASK.replace(b'Upgrade: websocket', b'Upgrade: h2c'),
    ASK.replace(b'Upgrade: websocket', b'Upgrade: websocket, h2c'),
    ASK.replace(b'Upgrade: websocket', b'Upgrade: TLS/1.0'),
    ASK.replace(b'dGhlIHNhbXBsZSBub25jZQ==', b'short'),
    ASK.replace(b'Sec-WebSocket-Key: ', b'X-Key: '),
    ASK.replace(b'Connection: keep-alive, Upgrade', b'Connection: keep-alive'),
    ASK.replace(b'Host: test', b'Host: test\r\nContent-Length: 5') + b'hello',
    ASK.replace(b'Host: test', b'Host: test\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA')
       .replace(b'websocket', b'h2c').replace(b'Upgrade\r\n', b'Upgrade, HTTP2-Settings\r\n')],
    ids=['POST', '1.0', 'h2c', 'two', 'TLS', 'no proper key', 'no key', 'not of this connection', 'body', 'h2c settings'])
def test_what_is_not_asked_on(origin, client, request_bytes):
    """The request passes; the wish does not, and an agreement to it is refused."""
    client.send(request_bytes)
    conn = origin.accept()
    request = conn.request()
    assert request['Upgrade'] == request['Connection'] == request['HTTP2-Settings'] == ''
    conn.send(AGREE)
    assert client.answer().status == 502 and conn.gone()


def test_a_service_that_does_not_allow_it(stage, origin):
    client = stage.proxy(origin).client()
    client.send(ASK)
    conn = origin.accept()
    assert conn.request()['Upgrade'] == ''
    conn.send(AGREE)
    assert client.answer().status == 502


def test_a_drain_cuts_tunnels_at_its_end(stage, origin):
    proxy = stage.proxy(origin, service='websocket = yes', drain='300ms')
    client = proxy.client()
    conn = tunnel(origin, client)
    proxy.stop()
    for wire in (client, conn):
        with contextlib.suppress(Broken):
            assert wire.gone()
    assert proxy.logged(1)[0]['reason'] == 'stopped'


def test_many_come_and_go(stage, origin):
    proxy = stage.proxy(origin, service='websocket = yes  upstream_idle_max = 0')
    before = proxy.descriptors()
    for _ in range(20):
        client = proxy.client()
        conn = tunnel(origin, client)
        client.send(b'x')
        client.close()
        assert conn.rest() == b'x'
        conn.close()
    await_until(lambda: proxy.descriptors() == before, 'no connection is left')
