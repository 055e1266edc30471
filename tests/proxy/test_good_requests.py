# SPDX-License-Identifier: BSD-2-Clause
"""Requests that are odd and valid: the origin gets each once, written anew, and nothing of what
stands behind it; the client gets the answer that belongs to it."""
import os

import pytest
from actors import ROOT, get, ok, unescaped


def good():
    """(name, method, authority, body, flags, bytes), but for what is answered here."""
    with open(os.path.join(ROOT, 'tests', 'data', 'good_requests.txt'), encoding='ascii') as f:
        for line in f:
            if line[0] not in '#\n':
                name, method, _, authority, body, flags, text = line.rstrip('\n').split(' ', 6)
                if method not in ('CONNECT', 'TRACE'):
                    yield name, method, authority, body, flags.split('+'), unescaped(text)


ROWS = list(good())


@pytest.fixture(scope='module')
def origin(long_stage):
    return long_stage.origin()


@pytest.fixture(scope='module')
def proxy(long_stage, origin):
    return long_stage.proxy(origin, service='upstream_idle_max = 0  max_body = 0')


@pytest.mark.parametrize('method, authority, body, flags, text', [r[1:] for r in ROWS],
                         ids=[r[0] for r in ROWS])
def test_the_origin_gets_this_one(origin, proxy, method, authority, body, flags, text):
    client = proxy.client()
    client.send(text[:text.index(b'\r\n\r\n', 2) + 4])  # an empty line may come first
    conn = origin.accept()
    head = conn.until(b'\r\n\r\n').decode('latin-1').split('\r\n')
    fields = dict(line.split(': ', 1) for line in head[1:] if line)
    assert head[0].split(' ')[0] == method and head[0].endswith(' HTTP/1.1')
    assert fields['Host'] == (authority if authority != '-' else f'127.0.0.1:{proxy.port}')
    assert fields.get('Transfer-Encoding') == ('chunked' if body == 'chunked' else None)
    assert fields.get('Content-Length') == (body[7:] if body.startswith('length=') else None)
    assert ('Expect' in fields) == ('expect' in flags) and 'Upgrade' not in fields
    assert conn.silent()
    conn.send(ok(b'hello', 'Connection: close'))
    conn.close()
    answer = client.answer(method)
    assert answer.status == 200
    whole = body in ('none', 'length=0')
    assert (answer['Connection'] == 'close') == ('close' in flags or not whole)
    if answer['Connection'] == 'close':
        assert client.ended()
    else:
        client.send(get('/next', 'Connection: close'))
        conn = origin.accept()
        assert conn.request().target == '/next'
        conn.send(ok(b'next'))
        assert client.answer().body == b'next'
    client.close()
    conn.close()
