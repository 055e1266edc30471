# SPDX-License-Identifier: BSD-2-Clause
"""Requests that are refused, each sent to a running proxy: the client gets the status and is
disconnected, and what stands behind the bad message is never taken for a request. The origin
sees nothing, or in a bad body no end."""
import os
import re

import pytest
from actors import ROOT, Broken, chunks, get, ok, rows

# Those of the limits are made for the parser's; here limits are larger: see test_http.py.
HEADS = [row for row in rows('bad_requests.txt') if row[0] not in ('414', '431')]


@pytest.fixture(scope='module')
def origin(long_stage):
    return long_stage.origin()


@pytest.fixture(scope='module')
def proxy(long_stage, origin):
    return long_stage.proxy(origin, service='max_body = 1m')


@pytest.fixture
def client(proxy, origin):
    c = proxy.client()
    yield c
    c.close()
    assert origin.untouched()


@pytest.mark.parametrize('status, head', [(int(s), b) for s, _, b in HEADS],
                         ids=[name for _, name, _ in HEADS])
def test_a_bad_head(origin, client, status, head):
    client.send(head, get('/smuggled'))
    answer = client.answer('HEAD' if head.startswith(b'HEAD') else 'GET')
    assert answer.status == status and answer['Connection'] == 'close'
    assert client.ended() and origin.untouched()


def test_there_are_enough_of_them():
    assert len(HEADS) >= 150


@pytest.mark.parametrize('name', ['bad_requests.txt', 'bad_responses.txt', 'good_requests.txt'])
def test_each_group_says_what_it_is_about(name):
    with open(os.path.join(ROOT, 'tests', 'data', name), encoding='ascii') as f:
        lines = [line for line in f if line.startswith('# ----') or line[0] not in '#\n']
    assert lines[0].startswith('# ----')
    for line in lines:
        assert line[0] != '#' or re.search(r': RFC \d+ (section|appendix)', line), line


@pytest.mark.parametrize('head', [b for _, _, b in HEADS[::10]],
                         ids=[name for _, name, _ in HEADS[::10]])
def test_a_bad_head_behind_a_good_request(stage, head):
    origin = stage.origin()
    client = stage.proxy(origin).client()
    client.send(get('/good'), head, get('/smuggled'))
    conn = origin.accept()
    assert conn.request().target == '/good'
    conn.send(ok())
    assert client.answer().status == 200
    assert client.answer().status in (400, 417, 501, 505) and client.ended()
    assert conn.silent() and origin.accepts_nothing()


# ---- bodies -----------------------------------------------------------------------------

CHUNKED = {
    'no size': b'\r\nhello\r\n0\r\n\r\n',
    'word': b'hello\r\n0\r\n\r\n',
    'size 0x5': b'0x5\r\nhello\r\n0\r\n\r\n',
    'size +5': b'+5\r\nhello\r\n0\r\n\r\n',
    'size -5': b'-5\r\nhello\r\n0\r\n\r\n',
    'space before size': b' 5\r\nhello\r\n0\r\n\r\n',
    'size g': b'g\r\nhello\r\n0\r\n\r\n',
    'size of 17 digits': b'00000000000000005\r\nhello\r\n0\r\n\r\n',
    'size that wraps': b'10000000000000005\r\nhello\r\n0\r\n\r\n',
    'size 2^64-1': b'ffffffffffffffff\r\nhello\r\n0\r\n\r\n',
    'size 2^63': b'8000000000000000\r\nhello\r\n0\r\n\r\n',
    'size ends in LF': b'5\nhello\r\n0\r\n\r\n',
    'size ends in CR': b'5\rhello\r\n0\r\n\r\n',
    'size ends in CR CR LF': b'5\r\r\nhello\r\n0\r\n\r\n',
    'NUL in size': b'5\0\r\nhello\r\n0\r\n\r\n',
    'no CRLF behind data': b'5\r\nhello0\r\n\r\n',
    'LF behind data': b'5\r\nhello\n0\r\n\r\n',
    'CR behind data': b'5\r\nhello\r0\r\n\r\n',
    'size too small': b'4\r\nhello\r\n0\r\n\r\n',
    'size too large': b'6\r\nhello\r\n0\r\n\r\n',
    'LF in extension': b'5;a\nb\r\nhello\r\n0\r\n\r\n',
    'CR in extension': b'5;a\rb\r\nhello\r\n0\r\n\r\n',
    'NUL in extension': b'5;a\0\r\nhello\r\n0\r\n\r\n',
    'long extension': b'5;' + b'x' * 1000 + b'\r\nhello\r\n0\r\n\r\n',
    'LF behind last': b'5\r\nhello\r\n0\n\n',
    'LF ends trailers': b'5\r\nhello\r\n0\r\n\n',
    'bad trailer': b'5\r\nhello\r\n0\r\nno colon\r\n\r\n',
    'space in trailer name': b'5\r\nhello\r\n0\r\nX : y\r\n\r\n',
    'folded trailer': b'5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n',
    'NUL in trailer': b'5\r\nhello\r\n0\r\nX: \0\r\n\r\n',
    'trailer ends in LF': b'5\r\nhello\r\n0\r\nX: y\n\r\n',
    'long trailers': b'5\r\nhello\r\n0\r\n' + b'X: %s\r\n' % (b'x' * 100) * 200 + b'\r\n',
}


def post(field):
    return get('/', field, method='POST')


def no_whole_request(origin):
    """The connection that was made for it ends first."""
    conn = origin.accept()
    with pytest.raises(Broken):
        conn.request()
    assert origin.accepts_nothing()
    origin.conns.clear()


@pytest.mark.parametrize('body', CHUNKED.values(), ids=CHUNKED)
def test_a_bad_chunked_body(origin, client, body):
    client.send(post('Transfer-Encoding: chunked'), body, get('/smuggled'))
    answer = client.answer()
    assert answer.status == 400 and answer['Connection'] == 'close' and client.ended()
    no_whole_request(origin)


@pytest.mark.parametrize('body', CHUNKED.values(), ids=CHUNKED)
def test_a_bad_chunked_body_in_single_bytes(origin, client, body):
    """So that what is good of it goes on before the bad part is seen."""
    try:
        client.send(post('Transfer-Encoding: chunked'))
        for byte in body[:60]:
            client.send(bytes([byte]))
        client.send(body[60:])
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused meanwhile
    assert client.answer().status == 400 and client.gone()
    no_whole_request(origin)


def cut_short(origin, client):
    client.half_close()
    assert client.ended()
    no_whole_request(origin)


BODY = chunks(b'hello', b'x')


@pytest.mark.parametrize('n', range(len(BODY)))
def test_a_chunked_body_that_ends_early(origin, client, n):
    client.send(post('Transfer-Encoding: chunked'), BODY[:n])
    cut_short(origin, client)


@pytest.mark.parametrize('n', [0, 1, 4])
def test_a_body_of_a_length_that_ends_early(origin, client, n):
    client.send(post('Content-Length: 5'), b'hello'[:n])
    cut_short(origin, client)


def test_a_head_that_ends_early(origin, client):
    client.send(get()[:-1])
    client.half_close()
    assert client.ended() and origin.untouched()
