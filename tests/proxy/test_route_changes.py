# SPDX-License-Identifier: BSD-2-Clause
"""What routes change of messages on their way: fields both ways, targets, hosts."""
import pytest
from actors import answers, get, ok

SERVICE = '''
	set_request     = { "X-Service: $service", "X-Both: service" }
	add_response    = "X-Frame: deny"
	set_response    = "Strict-Transport-Security: max-age=1"
	route "fields" {
		path            = "/fields"
		remove_request  = { "X-Gone", "X-Forwarded-Host" }
		set_request     = { "X-Set: <$client_ip $header_x_in $1x>", "X-Empty: $header_none", "X-Both: route", "x-forwarded-for: $client_ip" }
		append_request  = { "X-List: last", "X-New: first" }
		add_request     = { "X-Add: 1", "X-Add: 2" }
	}
	route "answer" {
		path            = "/answer"
		remove_response = { "Server", "X-Frame" }
		set_response    = { "X-Said: $status from $upstream to $header_x_in, $uri", "Cache-Control: private" }
		append_response = { "Vary: X-In", "X-None: $header_none" }
	}
	route "moved"   { path = "/moved"  redirect = "/there"  set_response = "X-Said: $status$header_x_in" }
	route "words"   { path = "/words"  respond = "the words of $uri, and more of them"  set_response = { "X-A: $status", "X-B: <$uri> $header_x_in" } }
	route "away"    { path = "/away"  redirect = "https://$host/from$uri"  set_response = "X-Said: $status and much more of it" }
	route "denied"  { path = "/denied"  deny = 403  set_response = "Cache-Control: max-age=5" }
	route "rewrite" { path = "~ ^/old/(.*)$"  rewrite = "/new/$1" }
	route "query"   { path = "/query/*"  rewrite = "/q?path=$path&$query" }
	route "climb"   { path = "/climb"  rewrite = "/a/$header_x_in/b" }
	route "host"    { path = "/host"  upstream_host = "inside.test:8080" }
	route "hosts"   { path = "/hosts"  upstream_host = "$header_x_in" }
'''.replace('$1x', '')


@pytest.fixture(scope='module')
def site(long_stage):
    """The origin's answer has the head that reached it, and fields of its own."""
    proxy = long_stage.proxy(long_stage.origin(answers(lambda request: ok(
        request.head, 'Server: origin', 'Vary: Accept', 'Vary: Cookie', 'X-Frame: same'))),
                             service=SERVICE)
    return proxy


def reached(site, *request):
    """The request as the origin has it."""
    answer = site.ask(*request)
    assert answer.status == 200
    lines = answer.body.decode('latin-1').split('\r\n')
    fields = [line.split(': ', 1) for line in lines[1:] if line]
    return lines[0], lambda name: [v for n, v in fields if n.lower() == name.lower()]


def test_fields_of_the_request(site):
    line, field = reached(site, get('/fields', 'X-In: a b', 'X-Gone: 1', 'x-gone: 2', 'X-Set: theirs',
                                    'X-Empty: theirs', 'X-List: a', 'x-list: b', 'X-Add: 0',
                                    'X-Service: theirs', 'X-Forwarded-For: 192.0.2.1'))
    assert line == 'GET /fields HTTP/1.1'
    assert field('X-Set') == ['<127.0.0.1 a b >'] and field('X-Empty') == []
    assert field('X-Gone') == [] and field('X-Forwarded-Host') == []
    assert field('X-List') == ['a, b, last'] and field('X-New') == ['first']
    assert field('X-Add') == ['0', '1', '2']
    assert field('X-Service') == ['site'] and field('X-Both') == ['route']
    assert field('X-Forwarded-For') == ['127.0.0.1'] and field('X-Forwarded-Proto') == ['http']


def test_other_routes_have_what_the_service_says(site):
    _, field = reached(site, get('/', 'X-Gone: 1', 'X-Both: x'))
    assert field('X-Gone') == ['1'] and field('X-Both') == ['service']
    assert field('X-Forwarded-Host') == ['test']


def values(answer, name):
    return [v for n, v in answer.fields if n.lower() == name.lower()]


def test_fields_of_the_response(site):
    answer = site.ask(get('/answer?q', 'X-In: "\xe4"'))
    assert values(answer, 'X-Said') == ['200 from b0 to "\xe4", /answer?q']
    assert values(answer, 'Server') == [] and values(answer, 'X-Frame') == []
    assert values(answer, 'Vary') == ['Accept, Cookie, X-In'] and values(answer, 'X-None') == []
    assert values(answer, 'Cache-Control') == ['private']
    assert values(answer, 'Strict-Transport-Security') == ['max-age=1']
    answer = site.ask(get('/'))
    assert values(answer, 'X-Frame') == ['same', 'deny'] and values(answer, 'Server') == ['origin']


def test_fields_of_own_answers(site):
    moved = site.ask(get('/moved', 'X-In: x'))
    assert values(moved, 'X-Said') == ['302x'] and values(moved, 'X-Frame') == ['deny']
    denied = site.ask(get('/denied'))
    assert values(denied, 'Cache-Control') == ['max-age=5'] and denied.status == 403
    assert values(site.ask(get('/%00')), 'Strict-Transport-Security') == ['max-age=1']
    assert values(site.ask(b'GET / HTTP/1.1\r\n\r\n'), 'X-Frame') == ['deny']


@pytest.mark.parametrize('value', ['a\tb', 'x' * 20000, 'Content-Length: 5', '\xff' * 100])
def test_values_are_values(site, value):
    answer = site.ask(get('/answer', f'X-In: {value}'))
    assert values(answer, 'X-Said') == [f'200 from b0 to {value}, /answer']


def test_targets(site):
    assert reached(site, get('/old/a%2Fb?c'))[0] == 'GET /new/a%2Fb?c HTTP/1.1'
    assert reached(site, get('/query/x?c=d'))[0] == 'GET /q?path=/query/x&c=d HTTP/1.1'
    assert reached(site, get('/climb', 'X-In: ../..'))[0] == 'GET /b HTTP/1.1'
    assert reached(site, get('/climb', 'X-In: a b#\xe4?c'))[0] == 'GET /a/a%20b%23%E4?c/b HTTP/1.1'
    assert site.ask(get('/climb', 'X-In: %00')).status == 400
    assert site.ask(get('/climb', 'X-In: a\\b')).status == 400


def test_hosts(site):
    _, field = reached(site, get('/host'))
    assert field('Host') == ['inside.test:8080'] and field('X-Forwarded-Host') == ['test']
    assert reached(site, get('/hosts', 'X-In: [::1]:80'))[1]('Host') == ['[::1]:80']
    for bad in ('a b', '', 'a/b', 'a:b', 'u@h'):
        assert site.ask(get('/hosts', f'X-In: {bad}')).status == 400


def test_many_requests_on_a_connection(site):
    client = site.client()
    client.send(get('/answer', 'X-In: 1'), get('/'), get('/moved'), get('/answer', 'X-In: 2'))
    said = [values(client.answer(), 'X-Said') for _ in range(4)]
    assert said == [['200 from b0 to 1, /answer'], [], ['302'], ['200 from b0 to 2, /answer']]


def test_a_cache_keeps_routes_apart_and_their_fields(stage):
    """What is kept is the origin's; each client gets it as its route changes it."""
    origin = stage.origin(answers(lambda request: ok(
        f"{request['X-Site']} {request.target}".encode(), 'Cache-Control: max-age=60',
        'Vary: X-Lang', 'Server: origin')))
    proxy = stage.proxy(origin, top='cache "main" { memory = 16m }', service='''
        cache { store = "main" }
        set_response = "X-Who: $header_x_who"  remove_response = "Server"
        set_request  = "X-Lang: $arg_lang"
        route "a" { header = "X-A"  set_request = "X-Site: a"  rewrite = "/a$path" }
        route "b" { set_request = "X-Site: b"  append_response = "Vary: X-A" }
    ''')

    def asked(*fields, path='/x'):
        answer = proxy.ask(get(path, *fields))
        assert values(answer, 'Server') == []
        return answer.body, values(answer, 'X-Who'), values(answer, 'Vary')

    for who in ('1', '2'):
        assert asked('X-A: 1', f'X-Who: {who}') == (b'a /a/x', [who], ['X-Lang'])
        assert asked(f'X-Who: {who}') == (b'b /x', [who], ['X-Lang, X-A'])
        assert asked('X-Lang: spoof')[0] == b'b /x'
    assert sum(conn.got.count(b'GET ') for conn in origin.conns) == 2


def test_an_answer_and_its_fields_keep_apart(site):
    answer = site.ask(get('/words', 'X-In: ' + 'x' * 3000))
    assert answer.body == b'the words of /words, and more of them'
    assert answer['X-A'] == '200' and answer['X-B'] == '</words> ' + 'x' * 3000
    assert site.ask(get('/away'))['Location'] == 'https://test/from/away'
