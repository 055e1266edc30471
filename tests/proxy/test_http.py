# SPDX-License-Identifier: BSD-2-Clause
"""Heads and connections from end to end: what a client says, what the origin hears of it, what
comes back, and which connection it comes on. Bodies are in test_bodies.py."""
import pytest
from actors import answers, get, ok

HELLO = ok(b'hello')
BY_PROXY = (b'Via: 1.1 sluice\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n'
            b'X-Forwarded-Host: test\r\n')


@pytest.fixture
def proxy(stage, origin):
    return stage.proxy(origin)


@pytest.fixture
def client(proxy):
    return proxy.client()


def echo(request):
    return ok(request.target.encode() + b' ' + request.body)


# ---- heads ------------------------------------------------------------------------------

def test_a_request_is_written_anew(origin, client):
    client.send(b'\r\nGET /a?b=c HTTP/1.1\r\nUser-Agent:  x y \r\nHOST: Example.org:81\r\n'
                b'Cookie:a=b\r\nEmpty:\r\nCookie: c\r\n\r\n')
    assert origin.accept().until(b'\r\n\r\n') == (
        b'GET /a?b=c HTTP/1.1\r\nHost: Example.org:81\r\nUser-Agent: x y\r\nCookie: a=b\r\n'
        b'Empty: \r\nCookie: c\r\n'
        b'Via: 1.1 sluice\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n'
        b'X-Forwarded-Host: Example.org:81\r\n\r\n')


def test_a_response_is_written_anew(origin, client):
    client.send(get())
    conn = origin.accept()
    conn.request()
    conn.send(b'HTTP/1.1 299 Fine by me\r\nDate:today\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n'
              b'Content-length: 3\r\nServer: x\r\n\r\nend')
    assert client.until(b'end') == (
        b'HTTP/1.1 299 Fine by me\r\nDate: today\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nServer: x\r\n'
        b'Via: 1.1 sluice\r\nContent-Length: 3\r\n\r\nend')
    assert client.silent()


def test_hop_by_hop_fields_stay_on_their_hop(origin, client):
    client.send(get('/', 'Connection: keep-alive, X-Mine', 'connection: ,, TE ,', 'X-Mine: 1',
                    'Keep-Alive: timeout=5', 'TE: gzip', 'Proxy-Connection: keep-alive',
                    'Proxy-Authorization: Basic eA==', 'Upgrade: websocket', 'Trailer: X',
                    'X-Kept: 2'))
    conn = origin.accept()
    assert conn.until(b'\r\n\r\n') == (
        b'GET / HTTP/1.1\r\nHost: test\r\nX-Kept: 2\r\n' + BY_PROXY + b'\r\n')
    conn.send(ok(b'', 'Connection: x-other', 'X-Other: 1', 'Keep-Alive: timeout=5',
                 'Proxy-Authenticate: Basic', 'Upgrade: h2c', 'Trailer: X', 'X-Kept: 2'))
    assert client.answer().names() == ['X-Kept', 'Date', 'Via', 'Content-Length']


def test_connection_cannot_take_away_what_matters(origin, client):
    client.send(get('/', 'Connection: host, content-length, via, x-forwarded-for',
                    'Content-Length: 2', 'Via: 1.1 a', 'X-Forwarded-For: 192.0.2.1',
                    method='POST'), b'ab')
    request = origin.accept().request()
    assert request['Host'] == 'test' and request['Content-Length'] == '2'
    assert request.body == b'ab'
    assert request['Via'].endswith('1.1 sluice')
    assert request['X-Forwarded-For'].endswith('127.0.0.1')


def test_who_was_asked_before_is_told(origin, client):
    client.send(get('/', 'Via: 1.0 a', 'X-Forwarded-For: 192.0.2.1', 'X-Forwarded-Proto: https',
                    'via: 1.1 b', 'X-Forwarded-Host: evil', 'X-Forwarded-For: 192.0.2.2'))
    conn = origin.accept()
    request = conn.request()
    assert request['Via'] == '1.0 a, 1.1 b, 1.1 sluice'
    assert request['X-Forwarded-For'] == '192.0.2.1, 192.0.2.2, 127.0.0.1'
    assert request['X-Forwarded-Proto'] == 'http' and request['X-Forwarded-Host'] == 'test'
    conn.send(ok(b'', 'Via: 1.1 c'))
    assert client.answer()['Via'] == '1.1 c, 1.1 sluice'


def test_another_name_in_via(stage, origin):
    client = stage.proxy(origin, daemon='via = "edge-7"').client()
    client.send(get())
    conn = origin.accept()
    assert conn.request()['Via'] == '1.1 edge-7'
    conn.send(HELLO)
    assert client.answer()['Via'] == '1.1 edge-7'


def test_over_ipv6_on_both_sides(stage):
    origin = stage.origin(answers(HELLO), host='::1')
    client = stage.proxy(origin).client('::1')
    assert client.ask(get()).body == b'hello'
    assert b'\r\nX-Forwarded-For: ::1\r\n' in origin.conns[0].got


@pytest.mark.parametrize('sent, target, host', [
    ('GET http://other:81/x?y', '/x?y', 'other:81'),
    ('GET http://other', '/', 'other'),
    ('GET http://other?q', '/?q', 'other'),
    ('OPTIONS http://other', '*', 'other'),
    ('OPTIONS *', '*', 'test'),
    ('GET //other/x', '/other/x', 'test'),
    ('GET /a/../b/%2e/%2E%2e/c', '/c', 'test'),
])
def test_targets(origin, client, sent, target, host):
    client.send(f'{sent} HTTP/1.1\r\nHost: test\r\n\r\n'.encode())
    request = origin.accept().request()
    assert (request.target, request['Host'], request['X-Forwarded-Host']) == (target, host, host)


@pytest.mark.parametrize('request_line', ['CONNECT other:443', 'TRACE /', 'TRACE http://a/'])
def test_methods_that_are_refused(origin, client, request_line):
    client.send(f'{request_line} HTTP/1.1\r\nHost: other:443\r\n\r\n'.encode(), get('/second'))
    answer = client.answer()
    assert answer.status == 405 and answer['Connection'] == 'close'
    assert 'GET' in answer['Allow'].split(', ') and 'TRACE' not in answer['Allow']
    assert client.ended() and origin.untouched()


@pytest.mark.parametrize('method', ['PUT', 'PATCH', 'DELETE', 'PROPFIND', 'get', "!#$%&'*+-.^_`|~9"])
def test_other_methods_pass(origin, client, method):
    client.send(get('/x', 'Content-Length: 0', method=method))
    conn = origin.accept()
    assert conn.request().start == f'{method} /x HTTP/1.1'
    conn.send(ok(b'hello'))
    assert client.answer().body == b'hello'


def test_heads_in_single_bytes(origin, client):
    for byte in get('/slowly', 'X: y'):
        client.send(bytes([byte]))
    conn = origin.accept()
    assert conn.request()['X'] == 'y'
    for byte in HELLO:
        conn.send(bytes([byte]))
    assert client.answer().body == b'hello'


# ---- limits -----------------------------------------------------------------------------

def padded(n):
    """A request head of exactly n bytes."""
    return get('/', 'X: ' + 'x' * (n - len(get('/', 'X: '))))


def test_a_head_up_to_its_limit(stage, origin):
    proxy = stage.proxy(origin, service='max_head = 1k')
    client = proxy.client()
    client.send(padded(1024))
    conn = origin.accept()
    assert len(conn.request()['X']) > 900
    conn.send(HELLO)
    assert client.answer().body == b'hello'
    answer = client.ask(padded(1025))
    assert answer.status == 431 and answer['Connection'] == 'close' and client.ended()
    assert conn.silent() and origin.accepts_nothing()


def test_a_target_beyond_the_limit(stage, origin):
    client = stage.proxy(origin, service='max_head = 1k').client()
    answer = client.ask(get('/' + 'x' * 1100))
    assert answer.status == 414 and answer['Connection'] == 'close' and client.ended()
    assert origin.untouched()


def test_a_head_that_never_ends(stage, origin):
    client = stage.proxy(origin, service='max_head = 1k').client()
    client.send(b'GET / HTTP/1.1\r\nX: ' + b'x' * 2000)
    assert client.answer().status == 431 and client.ended() and origin.untouched()


def test_fields_up_to_their_number(stage, origin):
    client = stage.proxy(origin, service='max_fields = 4').client()
    client.send(get('/', 'A: 1', 'B: 2', 'C: 3'))
    conn = origin.accept()
    conn.request()
    conn.send(HELLO)
    assert client.answer().status == 200
    assert client.ask(get('/', 'A: 1', 'B: 2', 'C: 3', 'D: 4')).status == 431
    assert client.ended() and conn.silent()


def test_the_largest_heads_pass(stage, origin):
    client = stage.proxy(origin, service='max_head = 64k  max_fields = 256').client()
    fields = [f'A{n}:{"x" * 240}' for n in range(255)]
    client.send(get('/', *fields))
    conn = origin.accept()
    assert conn.request().names()[1:256] == [f'A{n}' for n in range(255)]
    conn.send(ok(b'hello', *fields))
    answer = client.answer()
    assert answer.names()[:255] == [f'A{n}' for n in range(255)] and answer.body == b'hello'


def test_a_long_name_of_a_host_comes_twice_to_the_origin(stage, origin):
    client = stage.proxy(origin, service='max_head = 64k').client()
    host = 'a.' * 120 + 'org'
    client.send(f'GET http://{host}/ HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
    request = origin.accept().request()
    assert request['Host'] == request['X-Forwarded-Host'] == host


# ---- connections ------------------------------------------------------------------------

def test_many_requests_on_one_connection_to_the_origin(stage):
    origin = stage.origin(answers(echo))
    proxy = stage.proxy(origin)
    clients = [proxy.client(host) for host in ('127.0.0.1', '::1', '127.0.0.1')]
    for n in range(60):
        path = f'/{n}'
        assert clients[n % 3].ask(get(path)).body == f'{path} '.encode()
    assert len(origin.conns) == 1


def test_pipelined_requests_are_answered_in_order(stage):
    origin = stage.origin(answers(echo))
    client = stage.proxy(origin).client()
    client.send(*(get(f'/{n}', 'Content-Length: 3', method='POST') + b'%03d' % n
                  for n in range(300)))
    for n in range(300):
        assert client.answer().body == b'/%d %03d' % (n, n)
    assert len(origin.conns) == 1


def test_the_second_of_two_pipelined_requests_waits(origin, client):
    client.send(get('/1'), get('/2'))
    conn = origin.accept()
    assert conn.request().target == '/1'
    conn.send(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na')
    assert client.until(b'\r\n\r\na') and conn.silent()
    conn.send(b'b')
    assert client.exactly(1) == b'b' and conn.request().target == '/2'
    assert origin.accepts_nothing()


def test_nothing_behind_close_is_served(stage):
    origin = stage.origin(answers(HELLO))
    client = stage.proxy(origin).client()
    client.send(get('/1', 'Connection: close'), get('/2'))
    answer = client.answer()
    assert answer.body == b'hello' and answer['Connection'] == 'close' and client.ended()
    assert b'/2' not in origin.conns[0].got


def test_an_origin_that_closes_leaves_the_client_connected(stage):
    origin = stage.origin(answers(ok(b'hello', 'Connection: close'), times=1))
    client = stage.proxy(origin).client()
    for _ in range(3):
        answer = client.ask(get())
        assert answer.body == b'hello' and answer['Connection'] == ''
    assert len(origin.conns) == 3


def test_a_client_that_closes_leaves_the_origin_connected(stage):
    origin = stage.origin(answers(HELLO))
    proxy = stage.proxy(origin)
    for _ in range(3):
        assert proxy.ask(get('/', 'Connection: close')).body == b'hello'
    assert len(origin.conns) == 1
    assert b'close' not in origin.conns[0].got


def test_http_1_0_ends_with_its_answer(origin, client):
    client.send(b'GET / HTTP/1.0\r\nX: y\r\n\r\n')
    conn = origin.accept()
    request = conn.request()
    assert request.start == 'GET / HTTP/1.1' and request['X'] == 'y'
    host, port = client.sock.getpeername()
    assert request['Host'] == request['X-Forwarded-Host'] == f'{host}:{port}'
    assert request['Via'] == '1.0 sluice'
    conn.send(HELLO)
    answer = client.answer()
    assert answer.start == 'HTTP/1.1 200 OK' and answer['Connection'] == 'close'
    assert answer.body == b'hello' and client.ended()


def test_http_1_0_with_keep_alive(stage):
    origin = stage.origin(answers(HELLO))
    client = stage.proxy(origin).client()
    for _ in range(3):
        answer = client.ask(get('/', 'Connection: Keep-Alive', version='1.0'))
        assert answer.body == b'hello' and answer['Connection'] == 'keep-alive'
    assert client.ask(get('/', version='1.0'))['Connection'] == 'close'
    assert client.ended() and len(origin.conns) == 1


def test_an_http_1_0_origin(stage):
    lasting = ok(b'hello', 'Connection: keep-alive', start='HTTP/1.0 200 OK')
    origin = stage.origin(answers(lambda r: ok(b'bye', start='HTTP/1.0 200 OK')
                                  if r.target == '/last' else lasting))
    client = stage.proxy(origin).client()
    for path, body in (('/1', b'hello'), ('/2', b'hello'), ('/last', b'bye'), ('/3', b'hello')):
        answer = client.ask(get(path))
        assert answer.body == body and answer.start == 'HTTP/1.1 200 OK'
        assert answer['Connection'] == ''
    assert len(origin.conns) == 2


# ---- answers without a body -------------------------------------------------------------

def test_head(stage):
    origin = stage.origin(answers(b'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n'))
    client = stage.proxy(origin).client()
    for _ in range(2):
        assert client.ask(get(method='HEAD'))['Content-Length'] == '1000000'
    assert client.silent() and len(origin.conns) == 1


def test_head_of_what_would_be_chunked(stage):
    origin = stage.origin(answers(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'))
    client = stage.proxy(origin).client()
    for _ in range(2):
        assert client.ask(get(method='HEAD')).status == 200
    assert client.silent() and len(origin.conns) == 1


def test_head_refused_by_the_proxy_has_no_body(stage):
    dead = stage.origin()
    dead.close()
    client = stage.proxy(dead).client()
    answer = client.ask(get(method='HEAD'))
    assert answer.status == 502 and answer['Content-Length'] != '0'
    assert client.ask(get()).body.startswith(b'502')


@pytest.mark.parametrize('head, length', [
    (b'204 No Content', ''), (b'304 Not Modified', ''),
    (b'304 Not Modified\r\nContent-Length: 5', '5'),
    (b'204 No Content\r\nContent-Length: 5', '')])
def test_204_and_304(stage, head, length):
    origin = stage.origin(answers(b'HTTP/1.1 ' + head + b'\r\n\r\n'))
    client = stage.proxy(origin).client()
    for _ in range(2):
        answer = client.ask(get())
        assert answer.start.split(' ')[1] == head.split()[0].decode()
        assert answer['Content-Length'] == length and answer['Transfer-Encoding'] == ''
    assert client.silent() and len(origin.conns) == 1


def test_date_is_added_where_there_is_none(stage):
    origin = stage.origin(answers(HELLO))
    date = stage.proxy(origin).ask()['Date']
    assert len(date) == 29 and date.endswith(' GMT'), date


# ---- 1xx --------------------------------------------------------------------------------

def test_100_continue(origin, client):
    client.send(get('/', 'Expect: 100-Continue', 'Content-Length: 5', method='POST'))
    conn = origin.accept()
    assert b'Expect: 100-Continue\r\n' in conn.until(b'\r\n\r\n')
    assert conn.silent()
    conn.send(b'HTTP/1.1 100 Continue\r\n\r\n')
    assert client.answer().status == 100
    client.send(b'hello')
    assert conn.exactly(5) == b'hello'
    conn.send(HELLO)
    assert client.answer().body == b'hello'
    client.send(get('/next'))
    assert conn.request().target == '/next'


def test_an_origin_that_says_nothing_of_100(origin, client):
    client.send(get('/', 'Expect: 100-continue', 'Content-Length: 5', method='POST'))
    conn = origin.accept()
    head = conn.until(b'\r\n\r\n')
    client.send(b'hello')  # it need not wait for ever
    assert b'Content-Length: 5' in head and conn.exactly(5) == b'hello'
    conn.send(HELLO)
    assert client.answer().status == 200


def test_a_final_answer_in_place_of_100(origin, client):
    client.send(get('/', 'Expect: 100-continue', 'Content-Length: 5', method='POST'))
    conn = origin.accept()
    conn.until(b'\r\n\r\n')
    conn.send(ok(b'no', start='HTTP/1.1 403 Forbidden'))
    answer = client.answer()
    assert answer.status == 403 and answer.body == b'no' and answer['Connection'] == 'close'
    assert client.ended() and conn.ended()


def test_http_1_0_expects_nothing(origin, client):
    client.send(get('/', 'Expect: 100-continue', 'Content-Length: 5', method='POST',
                    version='1.0'), b'hello')
    conn = origin.accept()
    assert conn.request()['Expect'] == ''
    conn.send(b'HTTP/1.1 100 Continue\r\n\r\n', b'HTTP/1.1 103 Early Hints\r\n\r\n', HELLO)
    assert client.answer().status == 200


def test_early_hints(origin, client):
    client.send(get())
    conn = origin.accept()
    conn.request()
    conn.send(b'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n')
    answer = client.answer()
    assert answer.status == 103 and answer['Link'] == '</a>'
    assert answer['Content-Length'] == answer['Date'] == ''
    conn.send(b'HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n', HELLO)
    assert client.answer()['Link'] == '</b>' and client.answer().body == b'hello'
