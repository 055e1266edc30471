# SPDX-License-Identifier: BSD-2-Clause
"""Backends behind UNIX sockets, and the PROXY protocol: toward backends, and from a proxy in front."""
import os
import socket
import struct

import pytest
from actors import Broken, Origin, answers, await_until, get, ok

MARK = b'\r\n\r\n\0\r\nQUIT\n'
LOCAL = 'accept_proxy = yes  trusted = { "127.0.0.0/8", "::1" }'


class UnixOrigin(Origin):
    """An origin at a path, which everybody may connect to."""

    def __init__(self, path, story):  # pylint: disable=super-init-not-called
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        os.chmod(path, 0o777)
        self.socket.listen(16)
        self.conns, self.story, self.failed = [], story, None
        self.start()


@pytest.fixture
def folder():
    """Short enough for the path of a socket, and open to the worker's account."""
    path = f'/tmp/sluice-test-{os.getpid()}'
    os.mkdir(path)
    os.chmod(path, 0o755)
    yield path
    for name in os.listdir(path):
        os.unlink(os.path.join(path, name))
    os.rmdir(path)


def v2(client, local, command=0x21, more=b''):
    v4 = ':' not in client[0]
    family = socket.AF_INET if v4 else socket.AF_INET6
    body = (socket.inet_pton(family, client[0]) + socket.inet_pton(family, local[0]) +
            struct.pack('!HH', client[1], local[1]) + more)
    return MARK + struct.pack('!BBH', command, 0x11 if v4 else 0x21, len(body)) + body


# ---- UNIX sockets -----------------------------------------------------------------------

def test_a_unix_socket(stage, folder):
    path = folder + '/app.sock'
    origin = stage.add(UnixOrigin(path, answers(lambda r: ok(b'unix ' + r.body))))
    proxy = stage.proxy(f'unix:{path}')
    client = proxy.client()
    assert client.ask(get()).body == b'unix '
    assert client.ask(get('/', 'Content-Length: 4', method='POST') + b'body').body == b'unix body'
    assert len(origin.conns) == 1, 'the connection is kept'
    assert {line['upstream'] for line in proxy.logged(2)} == {path}


def test_a_unix_socket_beside_another_backend(stage, folder):
    path = folder + '/gone.sock'
    proxy = stage.proxy(f'unix:{path}', f'unix:{path}2', stage.origin(answers(ok(b'tcp'))),
                        service='balance = round_robin')
    assert {proxy.ask().body for _ in range(4)} == {b'tcp'}
    assert f'address={path}' in proxy.said()


# ---- the PROXY protocol out -------------------------------------------------------------

@pytest.mark.parametrize('host', ['127.0.0.1', '::1'])
@pytest.mark.parametrize('version', [1, 2])
def test_a_backend_is_told_whose_connection_it_is(stage, origin, version, host):
    proxy = stage.proxy(origin, service=f'proxy_protocol = v{version}')
    for _ in range(2):
        client = proxy.client(host)
        client.send(get('/told'))
        conn = origin.accept()
        name, port = client.sock.getsockname()[:2]
        if version == 1:
            family = 'TCP6' if ':' in host else 'TCP4'
            assert conn.until(b'\r\n') == (f'PROXY {family} {name} {host} {port} '
                                           f'{proxy.port}\r\n').encode()
        else:
            head = v2((name, port), (host, proxy.port))
            assert conn.exactly(len(head)) == head
        assert conn.request().target == '/told'
        conn.send(ok(b'x'))
        assert client.answer().body == b'x'
        assert conn.ended(), 'it is not used for others'


def test_what_was_introduced_is_retried_elsewhere(stage):
    dead = stage.origin()
    dead.close()

    def story(conn):
        conn.until(b'\r\n')
        answers(ok(b'alive'))(conn)
    proxy = stage.proxy(dead, stage.origin(story), service='proxy_protocol = v1')
    for _ in range(3):
        assert proxy.ask(get('/', 'Content-Length: 1', method='POST') + b'x').body == b'alive'


# ---- the PROXY protocol in --------------------------------------------------------------

def told(request):
    return ok(request['X-Forwarded-For'].encode())


@pytest.mark.parametrize('head', [
    b'PROXY TCP4 192.0.2.7 198.51.100.1 4000 80\r\n', v2(('192.0.2.7', 4000), ('198.51.100.1', 80)),
    v2(('192.0.2.7', 4000), ('198.51.100.1', 80), more=b'\x04\0\x03abc'),
], ids=['v1', 'v2', 'v2 with values'])
def test_the_client_is_who_the_proxy_says(stage, head):
    proxy = stage.proxy(stage.origin(answers(told)), service=LOCAL)
    client = proxy.client()
    client.send(head, get())
    assert client.answer().body == b'192.0.2.7'
    assert client.ask(get()).body == b'192.0.2.7'
    assert {line['client'] for line in proxy.logged(2)} == {'192.0.2.7'}


def test_a_header_in_pieces(stage):
    proxy = stage.proxy(stage.origin(answers(told)), service=LOCAL)
    client = proxy.client('::1')
    for byte in v2(('2001:db8::7', 4000), ('2001:db8::1', 80)) + get():
        client.send(bytes([byte]))
    assert client.answer().body == b'2001:db8::7'


@pytest.mark.parametrize('head', [b'PROXY UNKNOWN\r\n', MARK + b'\x20\0\0\0'], ids=['v1', 'v2'])
def test_a_connection_of_the_proxys_own(stage, head):
    proxy = stage.proxy(stage.origin(answers(told)), service=LOCAL)
    client = proxy.client()
    client.send(head, get())
    assert client.answer().body == b'127.0.0.1'


@pytest.mark.parametrize('head', [
    b'', b'PROXY TCP4 192.0.2.7 198.51.100.1 4000 99999\r\n', MARK + b'\x31\x11\0\0', b'\r\n'
], ids=['none', 'malformed v1', 'malformed v2', 'an empty line'])
def test_without_a_header_a_trusted_proxy_is_sent_away(stage, origin, head):
    proxy = stage.proxy(origin, service=LOCAL)
    client = proxy.client()
    client.send(head, get())
    client.gone()
    assert bytes(client.got) == b'' and origin.untouched()
    proxy.awaits('no PROXY header from a trusted proxy service=site client=127.0.0.1')


@pytest.mark.parametrize('sent', [b'', b'PROXY TCP4 1', MARK + b'\x21\x11\0'])
def test_a_header_has_its_time(stage, origin, sent):
    proxy = stage.proxy(origin, service=LOCAL + '  header_timeout = 300ms')
    client = proxy.client()
    client.send(sent)
    assert client.ended()


@pytest.mark.parametrize('sent', [b'', b'PROXY TCP4 1', MARK])
def test_who_leaves_before_its_header_is_whole(stage, origin, sent):
    proxy = stage.proxy(origin, service=LOCAL)
    before = proxy.descriptors()
    client = proxy.client()
    client.send(sent)
    client.half_close()
    assert client.ended()
    client = proxy.client()
    client.send(sent)
    client.reset()
    await_until(lambda: proxy.descriptors() == before, 'both are closed')


def test_who_is_not_trusted_is_not_asked(stage):
    proxy = stage.proxy(stage.origin(answers(told)),
                        service='accept_proxy = yes  trusted = { "192.0.2.0/24" }')
    assert proxy.ask().body == b'127.0.0.1'
    client = proxy.client()
    client.send(b'PROXY TCP4 192.0.2.7 198.51.100.1 4000 80\r\n', get())
    try:
        assert client.answer().status == 400
    except Broken:
        pass
    assert proxy.logged(2)[1]['client'] == '127.0.0.1'


def test_in_and_out(stage, origin):
    """A header in is the header out."""
    proxy = stage.proxy(origin, service=LOCAL + '  proxy_protocol = v1')
    client = proxy.client()
    head = b'PROXY TCP4 192.0.2.7 198.51.100.1 4000 80\r\n'
    client.send(head, get())
    conn = origin.accept()
    assert conn.until(b'\r\n') == head
    conn.request()
    conn.send(ok())
    assert client.answer().status == 200
