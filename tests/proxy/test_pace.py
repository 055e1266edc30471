# SPDX-License-Identifier: BSD-2-Clause
"""Clients that are slow but not silent: each byte comes in time, all of them would take for
ever. Whoever is slow because somebody else is, is left alone."""
import select
import time

import pytest
from actors import await_until, get, ok

FRAMINGS = {'length': ('Content-Length: 100000', b'x'),
            'chunked': ('Transfer-Encoding: chunked', b'1\r\nx\r\n')}


@pytest.mark.parametrize('field, drop', FRAMINGS.values(), ids=FRAMINGS)
def test_a_body_in_drops(stage, origin, field, drop):
    proxy = stage.proxy(origin, service='body_timeout = 500ms  min_rate = 1k')
    client = proxy.client()
    client.send(get('/', field, method='POST'))
    conn = origin.accept()
    while not select.select([client.sock], [], [], 0.05)[0]:
        client.send(drop)
    answer = client.answer()
    assert answer.status == 408 and answer['Connection'] == 'close' and conn.gone()
    assert proxy.logged(1)[0]['reason'] == 'client_timeout'


def test_a_body_at_the_rate_goes_on(stage, origin):
    client = stage.proxy(origin, service='body_timeout = 300ms  min_rate = 1k').client()
    client.send(get('/', 'Content-Length: 4000', method='POST'))
    conn = origin.accept()
    for _ in range(40):
        client.send(b'x' * 100)
        time.sleep(0.03)
    assert len(conn.request().body) == 4000
    conn.send(ok(b'hello'))
    assert client.answer().body == b'hello'


def test_drops_are_fine_where_no_rate_is_asked_for(stage, origin):
    client = stage.proxy(origin, service='body_timeout = 300ms  min_rate = 0').client()
    client.send(get('/', 'Content-Length: 20', method='POST'))
    conn = origin.accept()
    for _ in range(20):
        client.send(b'x')
        time.sleep(0.05)
    assert len(conn.request().body) == 20
    conn.send(ok(b'hello'))
    assert client.answer().body == b'hello'


def test_who_waits_for_a_slow_backend_is_not_slow(stage):
    """The backend reads nothing for longer than the time that is looked at."""
    origin = stage.origin(receive_buffer=4096)
    client = stage.proxy(origin, service='body_timeout = 1s  min_rate = 64k').client()
    body = b'x' * (32 << 20)
    client.send(get('/', f'Content-Length: {len(body)}', method='POST'))
    conn = origin.accept()
    client.sock.settimeout(0.2)
    sent = 0
    try:
        while True:
            sent += client.sock.send(body[sent:sent + (1 << 20)])
    except TimeoutError:
        pass  # all on the way is full
    conn.until(b'\r\n\r\n')
    for _ in range(8):
        time.sleep(0.2)
        conn.exactly(500000)
    conn.send(ok(b'hello', 'Connection: close'))
    conn.close()
    assert client.answer().status in (200, 502)  # not 408


def large(conn):
    conn.request()
    conn.send(b'HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n')
    while True:
        conn.send(b'x' * 65536)


def test_a_response_taken_in_drops(stage):
    proxy = stage.proxy(stage.origin(large), service='body_timeout = 500ms  min_rate = 100k')
    client = proxy.client(receive_buffer=4096)
    client.send(get())
    client.until(b'\r\n\r\n')
    while not proxy.lines():
        assert client.sock.recv(500)
        time.sleep(0.05)
    assert proxy.logged(1)[0]['reason'] == 'client_timeout'


def test_a_response_taken_slowly_but_at_the_rate(stage):
    """The kernel tells of room for more only after a large part of what it holds was taken;
    by then the time for a silence is over several times."""
    proxy = stage.proxy(stage.origin(large), service='body_timeout = 400ms  min_rate = 1k')
    client = proxy.client(receive_buffer=4096)
    client.send(get())
    client.until(b'\r\n\r\n')
    end = time.monotonic() + 3
    while time.monotonic() < end:
        client.exactly(4000)
        time.sleep(0.02)
    assert proxy.logged(0) == []
    client.reset()
    await_until(lambda: len(proxy.lines()) == 1, 'the request ends')
    assert proxy.logged(1)[0]['reason'] == 'client_gone'
