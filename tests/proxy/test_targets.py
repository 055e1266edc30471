# SPDX-License-Identifier: BSD-2-Clause
"""Targets that a rule and a backend could read differently: both get the one spelling, or neither
hears of the request."""
import pytest
from actors import answers, get, ok


@pytest.fixture(scope='module')
def echo(long_stage):
    """The origin answers with the target that reached it."""
    origin = long_stage.origin(answers(lambda request: ok(request.target.encode('latin-1'))))
    proxy = long_stage.proxy(origin)
    proxy.origin = origin
    return proxy


@pytest.mark.parametrize('sent, forwarded', [
    ('/a/../b', '/b'), ('/a/./b/.', '/a/b/'), ('/../../etc/passwd', '/etc/passwd'),
    ('/a/%2e%2e/b', '/b'), ('/a/.%2E/b?c=/../d', '/b?c=/../d'), ('//a///b', '/a/b'),
    ('/%61dmin', '/admin'), ('/a%2fb', '/a%2Fb'), ('/a/..%2f..%2fb', '/a/..%2F..%2Fb'),
    ('/%252e%252e/a', '/%252e%252e/a'), ('/a%5cb', '/a%5Cb'), ('/a?%00\\%zz', '/a?%00\\%zz'),
    ('http://test/a/../b', '/b'), ('http://test', '/'), ('http://test?a', '/?a'),
    ('/' + '../' * 3000 + 'x', '/x')])
def test_one_spelling(echo, sent, forwarded):
    assert echo.ask(get(sent)).body.decode() == forwarded


@pytest.mark.parametrize('sent', ['/%00', '/a%00.html', '/a\\..\\b', '/%', '/%2', '/%zz', '/a/%%41',
                                  'http://test/%00'])
def test_refused(echo, sent):
    reached = sum(len(conn.got) for conn in echo.origin.conns)
    assert echo.ask(get(sent)).status == 400
    assert sum(len(conn.got) for conn in echo.origin.conns) == reached


def test_the_connection_goes_on_behind_a_refused_target(echo):
    client = echo.client()
    client.send(get('/%00'), get('/b'))
    assert client.answer().status == 400 and client.answer().body == b'/b'


def test_options_of_the_server(echo):
    assert echo.ask(get('*', method='OPTIONS')).body == b'*'


def test_the_log_has_what_was_sent(stage, origin):
    proxy = stage.proxy(origin)
    client = proxy.client()
    client.send(get('/a/%2e%2e/b'))
    conn = origin.accept()
    assert conn.request().target == '/b'
    conn.send(ok())
    assert client.answer().status == 200
    assert proxy.logged(1)[0]['line'] == 'GET /a/%2e%2e/b HTTP/1.1'
