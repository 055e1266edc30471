# SPDX-License-Identifier: BSD-2-Clause
"""A service of kind forward: requests that leave the site. What must not get out is told apart by
its reason, and no origin hears of it."""
import pytest
from actors import Proxy, answers, await_until, free_port, get, ok
from nameserver import A, AAAA, NameServer

CONFIG = '''
daemon {{ user = "nobody"  threads = 1  drain_timeout = 0ms  access_log = "{log}"  state = "{state}" }}
resolver {{ servers = {{ "{server}" }}  timeout = 100ms  attempts = 1  hosts = no }}
service "out" {{
	kind = forward
	listen = {{ "127.0.0.1:{port}", "[::1]:{port}" }}
	allow_client = {{ {clients} }}
	allow_destination = {{ {destinations} }}
	{more}
}}
'''
# What a site would have; loopback is private to it.
SITE = '"*.example.net:*", "only.example.org:443", "127.0.0.2/32:*", "[::1]:*"'


class Forward(Proxy):
    def __init__(self, folder, server, destinations=SITE, clients='"127.0.0.1", "::1"', more=''):
        self.server, self.destinations, self.clients_allowed = server, destinations, clients
        self.more, self.folder = more, folder
        super().__init__(folder)

    def text(self, **values):
        return CONFIG.format(log=values['log'], port=values['port'], state=self.folder / 'state',
                             server=self.server.address, clients=self.clients_allowed,
                             destinations=self.destinations, more=self.more)

    def connect(self, authority, *fields, early=b''):
        """(connection, answer) of a CONNECT."""
        client = self.client()
        head = [f'CONNECT {authority} HTTP/1.1', f'Host: {authority}', *fields, '', '']
        client.send('\r\n'.join(head).encode('latin-1') + early)
        return client, client.answer('HEAD')

    def refusals(self, *authorities, fields=()):
        """{(status, reason, Proxy-Status' error): whom it was told}"""
        told, found = [], {}
        for authority in authorities:
            client, answer = self.connect(authority, *fields)
            assert client.gone()
            told.append((answer.status, answer['Proxy-Status'].partition('error=')[2]))
        lines = self.logged(len(authorities))
        for authority, (status, error), line in zip(authorities, told, lines):
            found.setdefault((status, line['reason'], error), []).append(authority)
        return found

    def refused(self, authority):
        answer, = self.refusals(authority)
        return answer


@pytest.fixture
def server(stage):
    return stage.add(NameServer(ttl=0))


@pytest.fixture
def forward(stage, tmp_path, server):
    def make(*arguments, **named):
        return stage.add(Forward(tmp_path, server, *arguments, **named))
    return make


# ---- what works ----------------------------------------------------------------------------

@pytest.mark.parametrize('host', ['127.0.0.2', '::1'])
def test_connect_is_a_tunnel(stage, forward, host):
    """Bytes go both ways as they are; each side can end first and hear the rest."""
    origin = stage.origin(host=host)
    client, answer = forward().connect(origin.address())
    assert answer.status == 200 and not answer['Content-Length'] and not answer['Via']
    conn = origin.accept()
    client.send(b'\x16\x03\x01 not http \r\n\r\n')
    assert conn.exactly(17) == b'\x16\x03\x01 not http \r\n\r\n'[:17]
    conn.send(b'hello')
    assert client.exactly(5) == b'hello'
    client.half_close()
    conn.rest()
    conn.send(b'more')
    conn.half_close()
    assert client.rest() == b'more'


def test_connect_by_name(stage, forward, server):
    origin = stage.origin(host='127.0.0.2')
    server.give('a.example.net', '127.0.0.2')
    proxy = forward()
    client, answer = proxy.connect(f'A.Example.NET:{origin.port}')
    assert answer.status == 200
    conn = origin.accept()
    client.send(b'x')
    assert conn.exactly(1) == b'x'
    client.close()
    conn.rest()
    conn.close()
    line, = proxy.logged(1)
    assert (line['status'], line['reason'], line['upstream']) == ('200', 'ok', origin.address())


def test_bytes_behind_the_head_are_the_tunnels(stage, forward):
    origin = stage.origin(host='127.0.0.2')
    client, answer = forward().connect(origin.address(), early=b'GET / HTTP/1.1\r\n\r\n')
    assert answer.status == 200
    assert origin.accept().exactly(18) == b'GET / HTTP/1.1\r\n\r\n'
    client.close()


def test_the_next_address_is_tried(stage, forward, server):
    """Nobody listens on ::1 there."""
    origin = stage.origin(host='127.0.0.2')
    server.give('a.example.net', '::1', '127.0.0.2')
    _, answer = forward().connect(f'a.example.net:{origin.port}')
    assert answer.status == 200


@pytest.mark.parametrize('via', ['yes', 'no'])
def test_absolute_form(stage, forward, server, via):
    """The origin gets a request of its own, and hears nothing of the client."""
    origin = stage.origin(answers(ok(b'body', 'Via: 1.1 inner')), host='127.0.0.2')
    server.give('a.example.net', '127.0.0.2')
    client = forward(more=f'via = {via}').client()
    answer = client.ask(f'POST http://a.example.net:{origin.port}/a//b/../c?q HTTP/1.1\r\n'
                        'Host: elsewhere.example\r\nProxy-Authorization: Basic eDp5\r\n'
                        'Proxy-Connection: keep-alive\r\nConnection: X-Hop\r\nX-Hop: 1\r\n'
                        'X-Forwarded-For: 10.1.1.1\r\nX-Kept: 2\r\nVia: 1.0 before\r\n'
                        'Content-Length: 3\r\n\r\nabc'.encode())
    assert (answer.status, answer.body) == (200, b'body')
    await_until(lambda: origin.conns, 'it was asked')
    head = bytes(origin.conns[0].got).decode()
    assert head.startswith('POST /a//b/../c?q HTTP/1.1\r\n'
                           f'Host: a.example.net:{origin.port}\r\n') and head.endswith('abc')
    for gone in ('Proxy-', 'X-Hop', 'X-Forwarded', 'elsewhere', '127.0.0.1'):
        assert gone not in head
    assert 'X-Kept: 2' in head
    assert ('sluice' in head) == (via == 'yes') and 'Via: 1.0 before' in head
    assert answer['Via'] == ('1.1 inner, 1.1 sluice' if via == 'yes' else '1.1 inner')
    # The client's connection goes on, to another server too.
    other = stage.origin(answers(ok(b'other')), host='::1')
    again = client.ask(get(f'http://{other.address()}', method='GET'))
    assert again.body == b'other'


def test_many_connections_are_too_many(stage, forward):
    origin = stage.origin(host='127.0.0.2')
    proxy = forward(more='max_outgoing = 1')
    client, answer = proxy.connect(origin.address())
    assert answer.status == 200
    _, second = proxy.connect(origin.address())
    assert second.status == 503 and second['Retry-After']
    client.close()
    origin.accept().close()
    await_until(lambda: proxy.connect(origin.address())[1].status == 200, 'there is room again')


def test_an_idle_tunnel_ends(stage, forward):
    origin = stage.origin(host='127.0.0.2')
    proxy = forward(more='tunnel_timeout = 300ms')
    client, _ = proxy.connect(origin.address())
    conn = origin.accept()
    assert client.gone() and conn.gone()
    assert proxy.logged(1)[0]['reason'] == 'tunnel_idle'


# ---- what does not get out -------------------------------------------------------------------

PRIVATE = [
    '127.0.0.1', '[::ffff:127.0.0.1]', '[::127.0.0.1]', '0.0.0.0', '[::]', '10.1.2.3', '192.168.0.1',
    '172.31.0.1', '100.64.0.1', '169.254.169.254', '[fe80::1]', '[fd00:ec2::254]', '224.0.0.1',
    '255.255.255.255', '[ff02::1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]', '[2001:db8::1]',
]
NO_DESTINATION = [
    '2130706433:80', '0x7f000001:80', '0177.0.0.1:80', '127.1:80', '0x7f.1:80', '127.0.0.1.:80',
    'user@127.0.0.2:80', 'user:pass@a.example.net:80', 'a.example.net:0', 'a.example.net:65536',
    'a.example.net:', 'a.example.net', ':80', '[::1]', '[127.0.0.2]:80', '[::1%25lo]:80',
    'a.example.net:80:80', 'a.example.net:+80', 'a%2eexample.net:80', 'a..example.net:80',
    '-a.example.net:80', '/:80', 'http://a.example.net:80',
]
NOT_LISTED = [
    'example.net:80', 'aexample.net:80', 'a.example.net.evil.org:80', 'only.example.org:80',
    'x.only.example.org:443', '198.51.100.1:80', '127.0.0.3:80', '[2606:4700::1]:443',
]


def test_private_addresses(stage, forward):
    """Even where everything is allowed."""
    origin = stage.origin()
    proxy = forward(destinations='"*:*"')
    assert list(proxy.refusals(*[f'{host}:{origin.port}' for host in PRIVATE])) == [
        (403, 'destination_private', 'destination_ip_prohibited')]
    assert origin.untouched()


def test_a_name_with_a_private_address(stage, forward, server):
    origin = stage.origin()
    for i, addresses in enumerate((['127.0.0.1'], ['::ffff:127.0.0.1'], ['10.0.0.1', 'fd00::1'],
                                   ['0.0.0.0', '::'])):
        server.give(f'rebind{i}.example.net', *addresses)
    assert list(forward().refusals(*[f'rebind{i}.example.net:{origin.port}' for i in range(4)])) == [
        (403, 'destination_private', 'destination_ip_prohibited')]
    assert origin.untouched()


def test_the_address_that_was_checked_is_the_one(stage, forward, server):
    """A name that has another address each time is asked for once; of its addresses those that
    are allowed are used."""
    private, allowed = stage.origin(port=0), None
    allowed = stage.origin(host='127.0.0.2', port=private.port)
    server.give('rebind.example.net', '127.0.0.1', '127.0.0.2')
    client, answer = forward().connect(f'rebind.example.net:{private.port}')
    assert answer.status == 200
    allowed.accept()
    assert private.untouched() and len(server.asked) == 2
    client.close()


def test_what_is_no_destination(forward, server):
    proxy = forward(destinations='"*:*"')
    found = proxy.refusals(*NO_DESTINATION)
    assert all(answer[:2] == (400, 'refused') for answer in found), found
    assert server.asked == []


def test_what_is_not_on_the_list(forward, server):
    """It is not even looked up."""
    proxy = forward()
    assert list(proxy.refusals(*NOT_LISTED)) == [
        (403, 'destination_forbidden', 'http_request_denied')]
    assert server.asked == []


def test_clients_that_are_not_on_the_list(stage, forward):
    origin = stage.origin(host='127.0.0.2')
    proxy = forward(clients='"10.0.0.0/8"')
    assert proxy.refused(origin.address())[:2] == (403, 'client_forbidden')
    assert origin.untouched()


def test_connect_has_no_body(stage, forward):
    """RFC 9110 section 9.3.6: what follows is the tunnel's, so a body would be read twice."""
    origin = stage.origin(host='127.0.0.2')
    proxy = forward()
    for fields in (['Content-Length: 5'], ['Content-Length: 0'], ['Transfer-Encoding: chunked'],
                   ['Content-Length: 5', 'Transfer-Encoding: chunked']):
        client, answer = proxy.connect(origin.address(), *fields)
        assert answer.status == 400 and client.gone(), fields
    assert origin.untouched()


def test_nothing_behind_a_refused_connect_is_read(stage, forward):
    """It was meant for the tunnel, and might be a request for us."""
    origin = stage.origin(answers(ok(b'smuggled')), host='127.0.0.2')
    proxy = forward()
    smuggled = get(f'http://{origin.address()}/')
    client, answer = proxy.connect('127.0.0.3:80', early=smuggled)
    assert answer.status == 403
    client.gone()
    assert b'smuggled' not in client.got and origin.untouched()


def test_requests_that_are_not_for_a_forward_proxy(forward, server):
    proxy = forward()
    for target in ('/', '*', 'https://a.example.net/', 'ftp://a.example.net/'):
        method = 'OPTIONS' if target == '*' else 'GET'
        assert proxy.ask(get(target, method=method)).status == 400, target
    assert server.asked == []


# ---- names that are not found ----------------------------------------------------------------

def test_no_such_name(forward):
    status, reason, error = forward().refused('nowhere.example.net:80')
    assert (status, reason, error) == (502, 'unknown_host', 'dns_error')


def test_a_name_that_nobody_answers_for(forward, server):
    server.zone['slow.example.net', A] = server.zone['slow.example.net', AAAA] = None
    status, reason, error = forward().refused('slow.example.net:80')
    assert (status, reason, error) == (504, 'lookup_timeout', 'dns_timeout')


def test_nobody_listens(forward):
    status, reason, error = forward().refused(f'127.0.0.2:{free_port()}')
    assert (status, reason, error) == (502, 'no_backend', 'destination_unavailable')


def test_a_client_that_goes_while_its_name_is_looked_up(stage, forward, server):
    origin = stage.origin(host='127.0.0.2')
    server.zone['slow.example.net', A] = server.zone['slow.example.net', AAAA] = None
    proxy = forward()
    for _ in range(20):
        client = proxy.client()
        client.send(b'CONNECT slow.example.net:80 HTTP/1.1\r\nHost: x\r\n\r\n')
        server.awaits(len(server.asked), 'slow.example.net')
        client.reset()
    assert proxy.connect(origin.address())[1].status == 200
