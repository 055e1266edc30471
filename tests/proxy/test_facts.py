# SPDX-License-Identifier: BSD-2-Clause
"""What is known of a request, in the access log and in fields: its number, its trace, the cache's
part in it, the client's handshake."""
import json
import re

import pytest
from actors import answers, await_until, get, ok
from certs import Authority, TlsClient, section
from cryptography.hazmat.primitives import hashes

TRACE, PARENT = '4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'
FORMAT = '''access_format = '{"route":"$route","id":"$request_id","trace":"$trace_id","cache":"$cache"}' '''


def lines(proxy, n):
    """Of the access log, once there are n; as JSON."""
    await_until(lambda: len(proxy.lines()) >= n, f'{n} lines in the access log')
    return [json.loads(line) for line in proxy.lines()]


@pytest.fixture(scope='module')
def traced(long_stage):
    return long_stage.proxy(
        long_stage.origin(answers(lambda request: ok(request.head))), daemon=FORMAT,
        service='''
        trace = yes
        route "off"  { path = "/off"  trace = no }
        route "told" { path = "/told"  set_response = "X-Trace: $trace_id" }
        route "own"  { path = "/own"  set_request = "traceparent: mine" }
        route "here" { path = "/here"  respond = "$trace_id" }''')


def reached(proxy, *request):
    """The request's head as the origin has it, the answer, and the line of the log."""
    before = len(proxy.lines())
    answer = proxy.ask(*request)
    fields = [line.split(': ', 1) for line in answer.body.decode('latin-1').split('\r\n')[1:] if line]
    return ([v for n, v in fields if n.lower() == 'traceparent'],
            [v for n, v in fields if n.lower() == 'tracestate'], answer, lines(proxy, before + 1)[-1])


@pytest.mark.parametrize('flags', ['00', '01'])
def test_a_trace_goes_on(traced, flags):
    came = f'00-{TRACE}-{PARENT}-{flags}'
    parent, state, _, line = reached(traced, get('/', f'TraceParent: {came}', 'tracestate: a=1',
                                                 'tracestate: b=2'))
    assert re.fullmatch(f'00-{TRACE}-[0-9a-f]{{16}}-{flags}', parent[0]) and len(parent) == 1
    assert parent[0] != came and state == ['a=1', 'b=2'] and line['trace'] == TRACE


@pytest.mark.parametrize('came', [
    [], ['traceparent: 00-x'], [f'traceparent: 00-{"0" * 32}-{PARENT}-01'],
    [f'traceparent: 00-{TRACE}-{PARENT}-01', f'traceparent: 00-{TRACE}-{PARENT}-01']])
def test_or_begins(traced, came):
    parent, state, _, line = reached(traced, get('/', *came, 'tracestate: a=1'))
    match = re.fullmatch('00-([0-9a-f]{32})-[0-9a-f]{16}-01', parent[0])
    assert match and len(parent) == 1 and match[1] != TRACE
    assert state == [] and line['trace'] == match[1]


def test_traces_of_routes(traced):
    came = f'traceparent: 00-{TRACE}-{PARENT}-01'
    parent, state, _, line = reached(traced, get('/off', came, 'tracestate: a=1'))
    assert parent == [came.split(' ')[1]] and state == ['a=1'] and line['trace'] == ''
    _, _, answer, _ = reached(traced, get('/told', came))
    assert answer['X-Trace'] == TRACE
    assert reached(traced, get('/own', came))[0] == ['mine']
    assert traced.ask(get('/here', came)).body.decode() == TRACE


def test_requests_have_numbers_in_the_log(stage, origin):
    proxy = stage.proxy(origin, daemon=FORMAT,
                        service='route "n" { path = "/n"  respond = "$request_id" }  route "o" { deny = 403 }')
    number = proxy.ask(get('/n')).body.decode()
    proxy.ask(get('/'))
    first, second = lines(proxy, 2)
    assert first == {'route': 'n', 'id': number, 'trace': '', 'cache': ''}
    assert second['route'] == 'o' and re.fullmatch('[0-9a-f]{32}', second['id'])


def test_what_the_cache_did(stage):
    proxy = stage.proxy(stage.origin(answers(ok(b'x', 'Cache-Control: max-age=100'))), daemon=FORMAT,
                        top='cache "main" { memory = 16m }', service='cache { }')
    for request in (get('/'), get('/'), get('/', 'Cache-Control: no-cache'), get('/', method='DELETE'),
                    get('/', 'If-Match: "x"')):
        proxy.ask(request)
    assert [line['cache'] for line in lines(proxy, 5)] == ['miss', 'hit', 'request', 'method', 'bypass']


def test_what_the_handshake_said(stage, tmp_path):
    authority, people = Authority(tmp_path / 'site'), Authority(tmp_path / 'people', 'People')
    known = people.issue('alice')
    names = ('tls_version', 'tls_cipher', 'tls_sni', 'ja4', 'tls_client_verify', 'tls_client_subject',
             'tls_client_fingerprint')
    text = '|'.join(f'${name}' for name in names)
    proxy = stage.proxy(
        stage.origin(answers(lambda request: ok(request['X-Facts'].encode()))),
        daemon=f"access_format = '{text}'",
        service=section(authority.issue('site.test'),
                        more=f'verify = optional  client_ca = "{people.path}"')
        + f'set_request = "X-Facts: {text}"')
    context = authority.trust()
    anonymous = TlsClient(proxy.port, context).ask(get('/').replace(b'Host: test', b'Host: site.test'))
    context = authority.trust()
    context.load_cert_chain(known.path, known.key_path)
    alice = TlsClient(proxy.port, context).ask(get('/').replace(b'Host: test', b'Host: site.test'))
    facts = alice.body.decode().split('|')
    assert facts[0] == 'TLSv1.3' and facts[1].startswith('TLS_') and facts[2] == 'site.test'
    assert re.fullmatch('t13d[0-9a-z]{6}_[0-9a-f]{12}_[0-9a-f]{12}', facts[3])
    assert facts[4:] == ['SUCCESS', 'CN=alice', known.cert.fingerprint(hashes.SHA256()).hex()]
    assert anonymous.body.decode().split('|')[4:] == ['NONE', '', '']
    await_until(lambda: len(proxy.lines()) == 2, 'both lines')
    assert proxy.lines()[1] == alice.body.decode()


def test_there_is_none_without_tls(stage):
    proxy = stage.proxy(service='route "a" { respond = "<$ja4$tls_version$tls_client_verify>" }')
    assert proxy.ask(get('/')).body == b'<>'
