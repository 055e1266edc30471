# SPDX-License-Identifier: BSD-2-Clause
"""Files of certificates and keys: changed under a running daemon, broken, about to expire."""
import os
import signal
import ssl
import subprocess

import pytest
from actors import SLUICED, answers, await_until, get, ok
from certs import Authority, Pair, TlsClient, section

HELLO = get().replace(b'Host: test', b'Host: site.test')


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / 'ca')


@pytest.fixture
def pair(authority):
    return authority.issue('site.test')


@pytest.fixture
def proxy(stage, pair):
    return stage.proxy(stage.origin(answers(ok(b'hello'))), service=section(pair))


def shown(proxy, authority):
    """The certificate that a new client gets, in DER."""
    client = TlsClient(proxy.port, authority.trust())
    try:
        assert client.ask(HELLO).status == 200
        return client.sock.getpeercert(True)
    finally:
        client.close()


def test_a_changed_pair_is_used_and_nobody_is_dropped(proxy, authority, pair):
    before = TlsClient(proxy.port, authority.trust())
    assert before.ask(HELLO).status == 200
    pid = proxy.worker()
    renewed = authority.issue('site.test', label='site.test-ec')
    proxy.awaits('certificates read again')
    await_until(lambda: shown(proxy, authority) == renewed.der(), 'the new certificate')
    assert before.ask(HELLO).status == 200 and proxy.worker() == pid
    before.close()


@pytest.mark.parametrize('how', ['change', 'SIGHUP'])
def test_a_broken_pair_leaves_the_one_before(proxy, authority, pair, how):
    other = authority.issue('other.test')
    os.replace(other.key_path, pair.key_path)
    if how == 'SIGHUP':
        proxy.signal(signal.SIGHUP)
        proxy.awaits('reloaded')
    proxy.awaits('its key does not belong to the certificate of')
    proxy.awaits('the certificate that was read before stays in use')
    assert shown(proxy, authority) == pair.der()


@pytest.mark.parametrize('text, why', [
    (b'', 'has 0 bytes'), (b'nonsense\n', 'holds no certificate'),
    (b'-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'holds no certificate'),
], ids=['empty', 'nonsense', 'broken'])
def test_a_broken_certificate_likewise(proxy, authority, pair, text, why):
    Pair.write(pair.path, text)
    proxy.awaits(why)
    assert shown(proxy, authority) == pair.der()


def started(folder, pair_section):
    """What the daemon says that cannot start."""
    path = folder / 'bad.conf'
    path.write_text('daemon { user = "nobody" }\nservice "site" { kind = l7 '
                    f'listen = "127.0.0.1:1" {pair_section} '
                    'backend "b" { address = "127.0.0.1:2" } }\n')
    done = subprocess.run([SLUICED, '--no-gate', '-c', str(path)], capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 1
    return done.stderr


def test_no_start_without_a_pair(tmp_path, authority, pair):
    weak = authority.issue('weak.test', kind='rsa1024')
    assert 'its RSA key has 1024 bits' in started(tmp_path, section(weak))
    locked = authority.issue('locked.test')
    subprocess.run(['openssl', 'ec', '-aes128', '-passout', 'pass:x', '-in', locked.key_path,
                    '-out', locked.key_path], check=True, capture_output=True)
    assert 'is locked with a password' in started(tmp_path, section(locked))
    os.unlink(pair.key_path)
    assert f'{pair.key_path}: cannot be read: No such file' in started(tmp_path, section(pair))


def test_a_certificate_that_ends_soon_is_warned_about(stage, authority):
    old, soon = authority.issue('old.test', days=-3), authority.issue('soon.test', days=5)
    proxy = stage.proxy('127.0.0.1:1', service=section(old, soon))
    proxy.awaits('certificate expired').awaits('certificate expires in')


def test_a_worker_reads_no_file_and_dumps_no_key(proxy, pair):
    with open(f'/proc/{proxy.worker()}/smaps', encoding='ascii') as f:
        maps = f.read().split('sluice-keyring')[1]
    assert ' dd' in maps[:maps.index('VmFlags') + 80], 'not for a core dump'
    held = os.listdir(f'/proc/{proxy.worker()}/fd')
    links = [os.readlink(f'/proc/{proxy.worker()}/fd/{fd}') for fd in held]
    assert not any(pair.path in link or pair.key_path in link for link in links)


def test_an_ocsp_response_is_stapled(stage, tmp_path, authority, pair):
    ca_key = os.path.join(authority.folder, 'Test-CA.key')
    (tmp_path / 'index').write_text(
        f'V\t300101000000Z\t\t{pair.cert.serial_number:X}\tunknown\t/CN=site.test\n')
    for words in (['-issuer', authority.path, '-cert', pair.path, '-reqout', f'{tmp_path}/req'],
                  ['-index', f'{tmp_path}/index', '-CA', authority.path, '-rsigner', authority.path,
                   '-rkey', ca_key, '-reqin', f'{tmp_path}/req', '-respout', pair.path + '.ocsp']):
        subprocess.run(['openssl', 'ocsp', *words], check=True, capture_output=True)
    proxy = stage.proxy(stage.origin(answers(ok(b'hello'))), service=section(pair))
    said = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{proxy.port}', '-status',
                           '-servername', 'site.test'], input=b'', capture_output=True,
                          timeout=20, check=False).stdout
    assert b'OCSP Response Status: successful' in said and b'Cert Status: good' in said


def test_authorities_of_clients_change_too(stage, tmp_path, authority, pair):
    people = Authority(tmp_path / 'people', 'People CA')
    alice = people.issue('alice')
    crl = people.revoke(people.issue('nobody'))
    proxy = stage.proxy(stage.origin(answers(ok(b'hello'))), service=section(
        pair, more=f'verify = required client_ca = "{people.path}" client_crl = "{crl}"'))
    context = authority.trust(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.load_cert_chain(alice.path, alice.key_path)
    TlsClient(proxy.port, context).close()
    people.revoke(alice)
    proxy.awaits('certificates read again')

    def refused():
        try:
            TlsClient(proxy.port, context).close()
            return False
        except ssl.SSLError as e:
            assert 'revoked' in str(e)
            return True
    await_until(refused, 'the refusal')
