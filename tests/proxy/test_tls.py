# SPDX-License-Identifier: BSD-2-Clause
"""HTTPS: what is offered and refused, which certificate, what is sent when something is wrong."""
import os
import re
import signal
import ssl
import struct
import subprocess

import pytest
from actors import Broken, answers, await_until, get, ok
from certs import Authority, TlsClient, raw, section

ALERT_PROTOCOL_VERSION, ALERT_HANDSHAKE, ALERT_UNRECOGNIZED = 70, 40, 112


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('ca'))


@pytest.fixture(scope='module')
def pair(authority):
    return authority.issue('site.test', 'www.site.test', '127.0.0.1')


@pytest.fixture
def make(stage, authority, pair):
    """A proxy that speaks TLS; its origin answers `hello`."""
    def make_one(*pairs, more='', answer=ok(b'hello'), times=1 << 30, **named):
        origin = stage.origin(answers(answer, times))
        proxy = stage.proxy(origin, service=section(*(pairs or (pair,)), more=more), **named)

        def connect(name='site.test', context=None, **more):
            proxy.clients.append(TlsClient(proxy.port, context or authority.trust(), name, **more))
            return proxy.clients[-1]
        proxy.connect, proxy.origin = connect, origin
        return proxy
    return make_one


def hello(path='/', *fields, host='site.test', method='GET'):
    return get(path, *fields, method=method).replace(b'Host: test', b'Host: ' + host.encode())


def s_client(port, *words, text=b'', seconds=10):
    done = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{port}', *words],
                          input=text, capture_output=True, timeout=seconds, check=False)
    return done.stdout.decode('latin-1') + done.stderr.decode('latin-1')


# ---- what is offered --------------------------------------------------------------------

@pytest.mark.parametrize('version', ['TLSv1_2', 'TLSv1_3'])
def test_a_request(make, authority, version):
    proxy = make(daemon='access_format = json')
    number = getattr(ssl.TLSVersion, version)
    client = proxy.connect(context=authority.trust(minimum_version=number,
                                                   maximum_version=number))
    assert client.ask(hello()).body == b'hello'
    assert b'X-Forwarded-Proto: https\r\n' in proxy.origin.conns[0].got
    client.half_close()
    await_until(proxy.lines, 'a line')
    name = version.replace('_', '.')
    assert f'"scheme":"https","tls_version":"{name}"' in proxy.lines()[0]


def test_many_requests_of_one_connection(make):
    client = make().connect()
    for n in range(50):
        assert client.ask(hello(f'/{n}')).body == b'hello'
    client.send(*(hello(f'/{n}') for n in range(50)))
    assert [client.answer().body for _ in range(50)] == [b'hello'] * 50


@pytest.mark.parametrize('size', [1, 1369, 1370, 1371, 16384, 65536, 3000000])
def test_bodies_both_ways(make, size):
    body = os.urandom(size)
    proxy = make(answer=lambda request: ok(request.body))
    client = proxy.connect()
    for _ in range(2):
        client.send(hello('/', f'Content-Length: {size}', method='POST'), body)
        assert client.answer('POST').body == body


def test_the_first_record_holds_the_head_and_the_first_bytes(make, authority):
    """Records are as small as packets at first, and large when much is sent."""
    proxy = make(answer=ok(b'x' * 400000))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.trust().wrap_bio(incoming, outgoing, server_hostname='site.test')
    sock, wire = raw(proxy.port), bytearray()

    def pump(call):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                data = sock.recv(65536)
                wire.extend(data)
                incoming.write(data)
    pump(tls.do_handshake)
    pump(lambda: tls.write(hello()))
    sock.sendall(outgoing.read())
    first = pump(lambda: tls.read(65536))
    assert first.startswith(b'HTTP/1.1 200 OK\r\n') and first.endswith(b'xxx')
    assert 1300 < len(first) <= 1370
    got = len(first)
    while got < 400000:
        got += len(pump(lambda: tls.read(65536)))
    sizes, at = [], 0
    while at + 5 <= len(wire):
        sizes.append(struct.unpack('!H', wire[at + 3:at + 5])[0])
        at += 5 + sizes[-1]
    small, large = sizes.index(1370 + 17), sizes.index(16384 + 17)
    assert small < sizes.index(4096 + 17) < large
    sock.close()


@pytest.mark.parametrize('word', ['-tls1', '-tls1_1'])
def test_old_versions_are_refused(make, word):
    said = s_client(make().port, word, '-cipher', 'ALL:@SECLEVEL=0')
    assert f'alert number {ALERT_PROTOCOL_VERSION}' in said


@pytest.mark.parametrize('ciphers', ['AES128-SHA', 'AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA256',
                                     'DHE-RSA-AES128-GCM-SHA256', 'aNULL'])
def test_weak_ciphers_are_refused(make, ciphers):
    said = s_client(make().port, '-tls1_2', '-cipher', f'{ciphers}:@SECLEVEL=0')
    assert f'alert number {ALERT_HANDSHAKE}' in said


def test_modern_is_tls_1_3_alone(make, authority):
    proxy = make(more='profile = modern')
    assert proxy.connect().sock.version() == 'TLSv1.3'
    with pytest.raises(ssl.SSLError):
        proxy.connect(context=authority.trust(maximum_version=ssl.TLSVersion.TLSv1_2))


def test_renegotiation_is_refused(make):
    said = s_client(make().port, '-tls1_2', '-servername', 'site.test', text=b'R\n')
    assert 'RENEGOTIATING' in said and 'no renegotiation' in said


def test_alpn(make, authority):
    proxy = make()
    context = authority.trust()
    context.set_alpn_protocols(['h2', 'http/1.1'])
    assert proxy.connect(context=context).sock.selected_alpn_protocol() == 'http/1.1'
    context = authority.trust()
    context.set_alpn_protocols(['imap'])
    with pytest.raises(ssl.SSLError, match='no application protocol'):
        proxy.connect(context=context)


def test_curl(make, authority):
    proxy = make()
    done = subprocess.run(['curl', '-sS', '--cacert', authority.path, '--resolve',
                           f'site.test:{proxy.port}:127.0.0.1', f'https://site.test:{proxy.port}/'],
                          capture_output=True, timeout=20, check=False)
    assert (done.stdout, done.stderr) == (b'hello', b'')


# ---- which certificate ------------------------------------------------------------------

def test_ecdsa_and_rsa_side_by_side(make, authority, pair):
    proxy = make(pair, authority.issue('site.test', kind='rsa'))
    for signatures, public in (('ECDSA+SHA256', 'id-ecPublicKey'),
                               ('RSA-PSS+SHA256', 'rsaEncryption')):
        said = s_client(proxy.port, '-servername', 'site.test', '-sigalgs', signatures,
                        '-showcerts')
        shown = subprocess.run(['openssl', 'x509', '-noout', '-text'], input=said.encode(),
                               capture_output=True, check=True).stdout.decode()
        assert f'Public Key Algorithm: {public}' in shown


def test_names(make, authority, pair):
    other = authority.issue('other.test', '*.wild.test')
    proxy = make(pair, other)
    for name, one in (('site.test', pair), ('WWW.Site.Test', pair), ('other.test', other),
                      ('a.wild.test', other)):
        client = proxy.connect(name)
        assert client.names()[0] == one.cert.subject.rfc4514_string()[3:]
        assert client.ask(hello(host=name)).status == 200


def unchecked(**settings):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in settings.items():
        setattr(context, name, value)
    return context


@pytest.mark.parametrize('name', ['a.b.wild.test', 'wild.test', 'unknown.test', None])
def test_a_name_that_none_is_for_gets_the_first(make, authority, pair, name):
    proxy = make(pair, authority.issue('*.wild.test'))
    client = proxy.connect(name, unchecked())
    assert client.sock.getpeercert(True) == pair.der()


def test_or_an_alert(make, pair):
    proxy = make(pair, more='unknown_sni = alert')
    assert proxy.connect().ask(hello()).status == 200
    assert f'alert number {ALERT_UNRECOGNIZED}' in s_client(proxy.port, '-servername', 'other.test')
    proxy.awaits('end=unknown_name')


@pytest.mark.parametrize('name', ['bad name.test', '.site.test', 'a' * 255, '<script>'])
def test_a_name_that_is_none(make, name):
    proxy = make()
    assert re.search('alert number (112|50|47)', s_client(proxy.port, '-servername', name))
    assert proxy.connect().ask(hello()).status == 200


@pytest.mark.parametrize('host, status', [('site.test', 200), ('site.test:443', 200),
                                          ('SITE.test', 200), ('www.site.test', 200),
                                          ('other.test', 421), ('evil.test', 421)])
def test_the_host_must_fit_the_handshake(make, authority, pair, host, status):
    proxy = make(pair, authority.issue('other.test'))
    client = proxy.connect()
    assert client.ask(hello(host=host)).status == status
    assert client.ask(hello()).status == 200, 'the connection is as good as before'


def test_unless_that_is_not_wanted(make, authority, pair):
    proxy = make(pair, authority.issue('other.test'), more='strict_host = no')
    assert proxy.connect().ask(hello(host='other.test')).status == 200


def test_a_thousand_hosts_of_a_folder(make, authority, tmp_path):
    folder = tmp_path / 'hosts'
    hosts = Authority(folder / 'ca', 'Other CA')
    hosts.folder, key = str(folder), authority.key
    for n in range(1000):
        hosts.issue(f'h{n}.test', label=f'h{n}', key=key)
    os.unlink(folder / 'h7.key')
    proxy = make(FolderPair(folder), drain='10s')  # sanitizers are slow to let go of so many
    proxy.awaits('h7.pem: holds no private key')
    for n in (0, 1, 500, 999):
        assert proxy.connect(f'h{n}.test', hosts.trust()).ask(hello(host=f'h{n}.test')).status == 200
    with pytest.raises(ssl.SSLError):
        proxy.connect('h7.test', hosts.trust())


class FolderPair:
    def __init__(self, folder):
        self.path = self.key_path = str(folder)


# ---- sessions ---------------------------------------------------------------------------

@pytest.mark.parametrize('version', ['TLSv1_2', 'TLSv1_3'])
def test_tickets_resume_in_any_thread_and_worker(make, authority, version):
    proxy = make(threads=2, drain='1s', more='ticket_rotation = 1h')
    version = getattr(ssl.TLSVersion, version)
    context = authority.trust(minimum_version=version, maximum_version=version)
    client = proxy.connect(context=context)
    client.ask(hello())
    session = client.sock.session
    for _ in range(8):
        again = proxy.connect(context=context, session=session)
        assert again.ask(hello()).status == 200 and again.sock.session_reused
    proxy.signal(signal.SIGHUP)
    proxy.awaits('reloaded')
    again = proxy.connect(context=context, session=session)
    assert again.ask(hello()).status == 200 and again.sock.session_reused


def test_no_tickets(make, authority):
    proxy = make(more='tickets = no')
    context = authority.trust()
    client = proxy.connect(context=context)
    client.ask(hello())
    again = proxy.connect(context=context, session=client.sock.session)
    assert again.ask(hello()).status == 200 and not again.sock.session_reused


def test_a_stateful_session(make, authority):
    proxy = make(more='tickets = no  session_cache = 100')
    context = authority.trust(maximum_version=ssl.TLSVersion.TLSv1_2)
    client = proxy.connect(context=context)
    client.ask(hello())
    again = proxy.connect(context=context, session=client.sock.session)
    assert again.ask(hello()).status == 200 and again.sock.session_reused


def test_keys_of_a_fleet(make, stage, authority, tmp_path):
    """Two hosts have the same keys, the second one in another order."""
    for n in '12':
        (tmp_path / f'key{n}').write_bytes(os.urandom(80))
    first = make(more=f'ticket_key = {{ "{tmp_path}/key1" }}')
    second = make(more=f'ticket_key = {{ "{tmp_path}/key2", "{tmp_path}/key1" }}')
    other = make()
    context = authority.trust()
    client = first.connect(context=context)
    client.ask(hello())
    assert second.connect(context=context, session=client.sock.session).sock.session_reused
    assert not other.connect(context=context, session=client.sock.session).sock.session_reused


# ---- clients with certificates ----------------------------------------------------------

@pytest.fixture(scope='module')
def people(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('people'), 'People CA')


def known(authority, pair):
    context = authority.trust()
    context.load_cert_chain(pair.path, pair.key_path)
    return context


def refused(connect, *arguments, **named):
    """In TLS 1.3 a client learns it only when it reads."""
    with pytest.raises((ssl.SSLError, Broken, ConnectionError)):
        connect(*arguments, **named).ask(hello())


def test_only_who_has_a_certificate(make, authority, people):
    alice, mallory = people.issue('alice'), authority.issue('mallory')
    bob = people.issue('bob')
    proxy = make(more=f'verify = required client_ca = "{people.path}" '
                      f'client_crl = "{people.revoke(bob)}"')
    assert proxy.connect(context=known(authority, alice)).ask(hello()).status == 200
    refused(proxy.connect)
    refused(proxy.connect, context=known(authority, mallory))
    refused(proxy.connect, context=known(authority, bob))
    refused(proxy.connect, context=known(authority, people.issue('old', days=-1)))
    proxy.awaits('end=certificate')


def test_or_none_at_all(make, authority, people):
    proxy = make(more=f'verify = optional client_ca = "{people.path}"')
    assert proxy.connect().ask(hello()).status == 200
    assert proxy.connect(context=known(authority, people.issue('alice'))).ask(hello()).status == 200
    refused(proxy.connect, context=known(authority, authority.issue('mallory')))


# ---- what is told of a client -----------------------------------------------------------

def test_facts_in_the_access_log(make, authority, people):
    proxy = make(more=f'verify = optional client_ca = "{people.path}"',
                 daemon='access_format = "$tls_version $tls_sni $tls_client_verify '
                        '\\"$tls_client_subject\\" $ja4 $scheme"'.replace('\\"', '|'))
    proxy.connect(context=known(authority, people.issue('alice'))).ask(hello())
    await_until(lambda: len(proxy.lines()) == 1, 'a line')
    proxy.connect().ask(hello())
    await_until(lambda: len(proxy.lines()) == 2, 'another')
    first, second = proxy.lines()
    assert re.fullmatch(r'TLSv1.3 site.test SUCCESS \|CN=alice\| t13d\d{4}00_\w{12}_\w{12} https',
                        first)
    assert second.startswith('TLSv1.3 site.test NONE |-| ')
    assert second.split()[-2] == first.split()[-2], 'the same client, the same fingerprint'


# ---- ends -------------------------------------------------------------------------------

def test_close_notify_ends_an_answer(make):
    client = make(answer=b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it', times=1).connect()
    client.send(hello().replace(b'HTTP/1.1', b'HTTP/1.0'))
    assert client.rest().endswith(b'all of it')


def test_an_answer_that_was_cut_does_not_look_whole(make, stage, authority, pair):
    origin = stage.origin()
    proxy = stage.proxy(origin, service=section(pair))
    client = TlsClient(proxy.port, authority.trust())
    client.send(hello().replace(b'HTTP/1.1', b'HTTP/1.0'))
    conn = origin.accept()
    conn.request()
    conn.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    client.until(b'hello')
    conn.reset()
    with pytest.raises(Broken):
        client.rest()
    client.close()


@pytest.mark.parametrize('method', ['GET', 'OPTIONS', 'POST', 'PATCH'])
def test_http_without_tls_is_told_so(make, method):
    proxy = make()
    client = proxy.client()
    client.send(hello(method=method))
    assert client.answer(method).status == 400
    assert client.gone() == 'fin'
    proxy.awaits('end=plain_http')
    assert proxy.logged(1)[0]['reason'] == 'refused'


@pytest.mark.parametrize('noise', [
    b'\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00', b'\x16\x03\x01\xff\xff' + b'x' * 70000,
    b'\x16\x03\x01\x00\x04\x01\xff\xff\xff' + b'\x16\x03\x01\x40\x00' + b'x' * 16384,
    b'\x15\x03\x01\x00\x02\x02\x28', b'\x80\x2e\x01\x00\x02' + b'x' * 44, b'\x00' * 100,
    b'\x16\x03\x01\x00\x00' * 100,
], ids=['short', 'oversized', 'long', 'alert', 'sslv2', 'zeroes', 'empty-records'])
def test_noise(make, noise):
    proxy = make()
    sock = raw(proxy.port)
    try:
        sock.sendall(noise)
        while sock.recv(4096):
            pass
    except ConnectionError:
        pass
    sock.close()
    proxy.awaits('handshake failed')
    assert proxy.connect().ask(hello()).status == 200


def test_a_slow_handshake(make):
    proxy = make(more='handshake_timeout = 300ms')
    sock = raw(proxy.port)
    sock.sendall(b'\x16\x03\x01\x02\x00\x01')
    assert sock.recv(100) == b''
    sock.close()
    proxy.awaits('end=timeout')


def test_a_handshake_byte_by_byte(make, authority):
    proxy = make()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.trust().wrap_bio(incoming, outgoing, server_hostname='site.test')
    sock = raw(proxy.port)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            for byte in outgoing.read():
                sock.sendall(bytes([byte]))
            incoming.write(sock.recv(1))
    for byte in outgoing.read():
        sock.sendall(bytes([byte]))
    tls.write(hello())
    for byte in outgoing.read():
        sock.sendall(bytes([byte]))
    got = b''
    while b'hello' not in got:
        try:
            got += tls.read(100)
        except ssl.SSLWantReadError:
            incoming.write(sock.recv(1))
    sock.close()


def test_too_many_handshakes_at_once(make):
    proxy = make(more='handshakes = 2')
    waiting = [raw(proxy.port) for _ in range(2)]
    for sock in waiting:
        sock.sendall(b'\x16')
    proxy.client().ended()
    proxy.awaits('end=busy')
    for sock in waiting:
        sock.close()
    await_until(lambda: connects(proxy), 'place for another')


def connects(proxy):
    try:
        return proxy.connect().ask(hello()).status == 200
    except (ssl.SSLError, ConnectionError):
        return False


def test_a_slow_reader_gets_all(make):
    size = 4000000
    client = make(answer=ok(b'x' * size)).connect()
    client.send(hello())
    client.until(b'\r\n\r\n')
    assert client.exactly(size) == b'x' * size


def test_a_reader_that_is_gone_costs_nothing(make):
    proxy = make(answer=ok(b'x' * 4000000))
    for _ in range(5):
        client = proxy.connect()
        client.send(hello())
        client.until(b'\r\n\r\n')
        client.reset()
    assert proxy.connect().ask(hello()).status == 200
