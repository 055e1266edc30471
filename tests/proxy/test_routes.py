# SPDX-License-Identifier: BSD-2-Clause
"""Routes: each kind of condition and each action, seen from the client and from the origins."""
import pytest
from actors import answers, get, ok

ROUTES = '''
	request_id_from = { "::1" }
	route "host"     { host = { "a.test", "*.b.test" }  respond = "$route $host" }
	route "post"     { path = "/method"  method = POST  respond = "posted" }
	route "inside"   { path = "/source"  source = "::1"  respond = "inside" }
	route "outside"  { path = "/source"  deny = yes }
	route "header"   { path = "/header"  header = { "X-A ~ ^[0-9]+$", "!X-B" }  respond = "$header_x_a" }
	route "query"    { path = "/query"  query = "a = 1"  respond = "$arg_b" }
	route "moved"    { path = "~ ^/old/([a-z]+)/(.*)$"  redirect = "https://$host/new/$2/$1?$query"  status = 308 }
	route "found"    { path = "/found"  redirect = "/here#top" }
	route "escaped"  { path = "/escaped"  redirect = "/$header_x/$cookie_c" }
	route "gone"     { path = "/gone"  deny = 410 }
	route "page"     { path = "/page"  respond = "<p>$$${method}$uri"  content_type = "text/html"  status = 503 }
	route "nothing"  { path = "/nothing"  respond = ""  status = 204 }
	route "id"       { path = "/id"  respond = "$request_id" }
	route "facts"    { path = "/facts"  respond = "$client_ip $client_port $server_addr $server_port $scheme $service $authority $query $tls_sni." }
	route "small"    { path = "/small"  max_body = 3 }
	route "slow"     { path = "/slow"  response_timeout = 300ms }
	route "other"    { path = "/other/*"  pool = "other" }
	route "backtrack" { path = "~ ^/(b+)+$"  respond = "b" }
'''


@pytest.fixture(scope='module')
def site(long_stage):
    def story(conn):
        while True:
            if conn.request().target == '/slow':
                conn.until(b'never')
            conn.send(ok(b'site'))

    other = long_stage.origin(answers(lambda request: ok(b'other ' + request.target.encode())))
    proxy = long_stage.proxy(
        long_stage.origin(story), service=ROUTES, top=f'pool "other" {{ backend "o" {{ address = "{other.address()}" }} }}')
    return proxy


def host(name, path='/'):
    return f'GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n'.encode()


@pytest.mark.parametrize('name, body', [
    ('a.test', b'host a.test'), ('A.Test:81', b'host a.test'), ('x.y.b.test', b'host x.y.b.test'),
    ('b.test', b'site'), ('ab.test', b'site')])
def test_hosts(site, name, body):
    assert site.ask(host(name)).body == body


def test_conditions(site):
    assert site.ask(get('/method', 'Content-Length: 0', method='POST')).body == b'posted'
    assert site.ask(get('/method')).body == b'site'
    assert site.ask(get('/source')).status == 403
    assert site.client('::1').ask(get('/source')).body == b'inside'
    assert site.ask(get('/header', 'x-a: 12')).body == b'12'
    assert site.ask(get('/header', 'x-a: 12x')).body == b'site'
    assert site.ask(get('/header', 'x-a: 12', 'x-b:')).body == b'site'
    assert site.ask(get('/query?b=2&a=1')).body == b'2'
    assert site.ask(get('/query?b=2&a=11')).body == b'site'
    assert site.ask(get('/other/x')).body == b'other /other/x'
    assert site.ask(get('/other')).body == b'site'


@pytest.mark.parametrize('path', ['/gone', '//gone', '/x/../gone', '/%67one', '/./gone', '/x/%2e%2E/gone',
                                  'http://test/gone', '/gone?x'])
def test_a_rule_sees_every_spelling(site, path):
    assert site.ask(get(path)).status == 410


@pytest.mark.parametrize('path', ['/gone/', '/gone%2f', '/gone%20', '/Gone', '/gone/..%2fgone'])
def test_and_no_other_path(site, path):
    assert site.ask(get(path)).body == b'site'


def test_redirects(site):
    moved = site.ask(get('/old/abc/d%2Fe?f=%zz'))
    assert moved.status == 308 and moved['Location'] == 'https://test/new/d%2Fe/abc?f=%zz'
    found = site.ask(get('/found'))
    assert found.status == 302 and found['Location'] == '/here#top'
    escaped = site.ask(get('/escaped', 'X: a b"\xe4', 'Cookie: d=1; c=x;y'))
    assert escaped['Location'] == '/a%20b"%E4/x'


def test_responses(site):
    page = site.ask(get('/page?a'))
    assert (page.status, page.body, page['Content-Type']) == (503, b'<p>$GET/page?a', 'text/html')
    page = site.client().ask(get('/page', method='HEAD'))
    assert page.body == b'' and page['Content-Length'] == str(len('<p>$HEAD/page'))
    nothing = site.ask(get('/nothing'))
    assert nothing.status == 204 and not nothing['Content-Length']


def test_facts(site):
    client = site.client()
    body = client.ask(get('/facts?q')).body.decode()
    assert body == (f'127.0.0.1 {client.sock.getsockname()[1]} 127.0.0.1 {site.port} '
                    'http site test q .')


def test_request_ids(site):
    first, second = (site.ask(get('/id', 'X-Request-ID: mine')).body for _ in range(2))
    assert first != second and len(first) == 32 and int(first, 16)
    assert site.client('::1').ask(get('/id', 'X-Request-ID: mine')).body == b'mine'
    for bad in ('a b', 'x' * 65, '', 'a"b'):
        assert len(site.client('::1').ask(get('/id', f'X-Request-ID: {bad}')).body) == 32


def test_a_connection_goes_on_behind_what_a_route_answers(site):
    client = site.client()
    client.send(get('/page'), get('/gone'), get('/found'), get('/'))
    assert [client.answer().status for _ in range(4)] == [503, 410, 302, 200]
    client.send(get('/gone', 'Content-Length: 5', method='POST'), b'hello')
    answer = client.answer()
    assert answer.status == 410 and answer['Connection'] == 'close'


def test_settings_of_a_route(site):
    assert site.ask(get('/small', 'Content-Length: 4', method='POST'), b'1234').status == 413
    assert site.ask(get('/small', 'Content-Length: 3', method='POST'), b'123').body == b'site'
    assert site.ask(get('/slow')).status == 504


def test_an_expression_without_end(site):
    assert site.ask(get('/' + 'b' * 20)).body == b'b'
    assert site.ask(get('/' + 'b' * 60 + 'c')).status == 500
    assert 'an expression takes too long' in site.said()


def test_a_service_without_backends(stage):
    proxy = stage.proxy(service='route "a" { path = "/a"  respond = "a" }')
    assert proxy.ask(get('/a')).body == b'a' and proxy.ask(get('/b')).status == 404
    lines = proxy.logged(2)
    assert [line['reason'] for line in lines] == ['answered', 'denied']


def test_slashes_may_stay(stage, origin):
    proxy = stage.proxy(origin, service='merge_slashes = no  route "a" { path = "/a//b"  deny = 403 }')
    assert proxy.ask(get('/a//b')).status == 403
    client = proxy.client()
    client.send(get('//a'))
    assert origin.accept().request().target == '//a'
