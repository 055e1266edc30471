# SPDX-License-Identifier: BSD-2-Clause
"""Backends that are checked: those that are down get no requests, whatever the check is, and
come back. The page that the daemon writes tells what it knows."""
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading

import pytest
from actors import (SLUICED, Origin, Proxy, Sluiced, answers, await_until, free_port, ok,
                    sanitized)

FAST = 'interval = 400ms  timeout = 400ms  rise = 1  fall = 1'


class Named(Origin):
    """An origin that says its name, and whose health a test can change."""

    def __init__(self, name, host='127.0.0.1'):
        self.health = ok(b'fine')
        super().__init__(answers(lambda request: self.health if request.target == '/health'
                                 else ok(name.encode())), host=host)


class Checked(Proxy):
    """A proxy whose backends are checked, and what it knows of them."""

    def __init__(self, folder, *backends, health, service='', **named):
        self.state = os.path.join(folder, 'state')
        super().__init__(folder, *backends, service=f'{service} health {{ {health} }}',
                         daemon=f'state = "{self.state}"', **named)

    def worker(self):
        return int(re.findall(r'worker=(\d+)', self.said())[-1])

    def kill(self, pid):
        """Of its processes; the log is then not that of a good life."""
        os.kill(pid, signal.SIGKILL)
        self.close = lambda: Sluiced.close(self)

    def health(self):
        done = subprocess.run([os.path.join(os.path.dirname(SLUICED), 'sluice'), 'health',
                               '--json', '--state', self.state], capture_output=True, text=True,
                              check=True)
        return json.loads(done.stdout)

    def backends(self):
        return {b['backend']: b for b in self.health()['backends']}

    def up(self):
        return {name for name, b in self.backends().items() if b['up'] and b['known']}

    def awaits_up(self, *names):
        await_until(lambda: self.up() == set(names) and
                    all(b['known'] for b in self.backends().values()),
                    f'{names} are up, and they alone: {self.backends()}')

    def asked(self, times=8):
        """Who answered."""
        return {self.ask().body.decode() for _ in range(times)}


@pytest.fixture
def checked(stage):
    def make(*backends, health, **named):
        stage.n += 1
        folder = stage.folder / str(stage.n)
        folder.mkdir()
        proxy = Checked(folder, *backends, health=health, **named)
        stage.stack.callback(lambda: proxy.close())
        return proxy
    return make


def pair(stage):
    return [stage.add(Named(name)) for name in ('b0', 'b1')]


HTTP = f'type = http  path = "/health"  {FAST}'


def test_a_backend_whose_check_fails_gets_no_requests_until_it_is_well(stage, checked):
    b0, b1 = pair(stage)
    proxy = checked(b0, b1, health=HTTP)
    proxy.awaits_up('b0', 'b1')
    assert proxy.asked() == {'b0', 'b1'}
    b0.health = ok(start='HTTP/1.1 503 Service Unavailable')
    proxy.awaits_up('b1')
    assert proxy.asked() == {'b1'}
    assert proxy.backends()['b0']['error'] == 'status 503'
    b0.health = ok(b'fine')
    proxy.awaits_up('b0', 'b1')
    assert proxy.asked() == {'b0', 'b1'}


def test_one_that_cannot_be_connected_to_is_down(stage, checked):
    b0, b1 = pair(stage)
    port = b0.port
    proxy = checked(b0, b1, health=f'type = tcp  {FAST}')
    proxy.awaits_up('b0', 'b1')
    b0.close()
    proxy.awaits_up('b1')
    assert proxy.backends()['b0']['error'] == 'connect: Connection refused'
    assert f'backend site/b0 127.0.0.1:{port} is down: connect: Connection refused' in proxy.said()
    assert proxy.asked() == {'b1'}


def test_one_that_answers_too_late_is_down(stage, checked):
    b0, b1 = pair(stage)
    stop = threading.Event()
    b0.story = lambda conn: (conn.request(), stop.wait())
    proxy = checked(b0, b1, health=HTTP)
    proxy.awaits_up('b1')
    assert proxy.backends()['b0']['error'] == 'timed out without the expected answer'
    stop.set()


def test_a_failure_now_and_then_is_not_enough(stage, checked):
    b0, b1 = pair(stage)
    seen = []

    def flaps(request):
        seen.append(request.target)
        return ok(b'', start='HTTP/1.1 500 No') if len(seen) % 3 else ok(b'')
    b0.story = answers(flaps)
    b1.story = answers(ok(b''))
    # The first answer of all decides at once; so it is a good one.
    seen += ['the first', 'the second']
    proxy = checked(b0, b1, health='type = http  interval = 300ms  rise = 1  fall = 3')
    proxy.awaits_up('b0', 'b1')
    await_until(lambda: len(seen) > 11, 'nine checks')
    assert proxy.up() == {'b0', 'b1'} and proxy.backends()['b0']['failures'] >= 5


def test_the_body_is_looked_at_chunked_or_not(stage, checked):
    b0, b1 = pair(stage)
    b0.health = ok(b'it is well')
    b1.health = ok(b'it is ill')
    proxy = checked(b0, b1, health=f'{HTTP}  body = "is well"  status = {{ 200 }}')
    proxy.awaits_up('b0')
    b1.health = (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
                 b'5\r\nit is\r\n5\r\n well\r\n0\r\n\r\n')
    proxy.awaits_up('b0', 'b1')


def test_what_is_asked_is_as_written(stage, checked):
    origin = stage.origin(answers(ok(b'')))
    checked(origin, health=f'type = http  method = HEAD  path = "/a?b=c"  host = "w.example"  {FAST}')
    await_until(lambda: origin.conns and b'\r\n\r\n' in origin.conns[0].got, 'a check')
    head = bytes(origin.conns[0].got).split(b'\r\n')
    assert head[0] == b'HEAD /a?b=c HTTP/1.1' and b'Host: w.example' in head
    assert b'Connection: close' in head


# ---- https ------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    """For w.example, signed by itself; (certificate, key)."""
    folder = tmp_path_factory.mktemp('tls')
    cert, key = str(folder / 'cert.pem'), str(folder / 'key.pem')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert,
                    '-days', '2', '-subj', '/CN=w.example', '-addext',
                    'subjectAltName=DNS:w.example'], check=True, capture_output=True)
    os.chmod(folder, 0o755)
    return cert, key


class Tls(Origin):
    """An origin that speaks TLS, and notes which name it was asked for."""

    def __init__(self, certificate):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        self.context.sni_callback = lambda sock, name, context: self.names.append(name)
        self.names = []
        super().__init__(answers(ok(b'fine')))

    def tell(self, conn):
        try:
            conn.sock = self.context.wrap_socket(conn.sock, server_side=True)
        except OSError:
            conn.close()
            return
        super().tell(conn)


def test_https_with_and_without_a_certificate_that_is_valid(stage, checked, certificate):
    origin = stage.add(Tls(certificate))
    cert = certificate[0]
    checked(origin, health=f'type = https  {FAST}').awaits_up('b0')
    assert set(origin.names) == {None}
    checked(origin, health=f'type = https  host = "w.example:443"  verify = yes  ca = "{cert}"  '
                           f'{FAST}').awaits_up('b0')
    assert 'w.example' in origin.names
    proxies = [checked(origin, health=f'type = https  host = "{host}"  verify = yes  {ca}  {FAST}')
               for host, ca in (('x.example', f'ca = "{cert}"'), ('w.example', ''))
               if ca or os.path.exists('/etc/ssl/certs/ca-certificates.crt')]
    for proxy in proxies:
        proxy.awaits_up()
        assert proxy.backends()['b0']['error'].startswith('certificate: ')


def test_https_to_one_that_speaks_no_tls(stage, checked):
    proxy = checked(stage.origin(answers(ok())), health=f'type = https  {FAST}')
    proxy.awaits_up()
    assert re.match('TLS|timed out in the TLS', proxy.backends()['b0']['error'])


# ---- datagrams --------------------------------------------------------------------------

class Datagrams:
    """Answers datagrams as the test says: `answer` makes bytes, or None, of a datagram."""

    def __init__(self, answer, host='127.0.0.1'):
        self.host, self.answer, self.seen = host, answer, []
        self.socket = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET,
                                    socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                asked, sender = self.socket.recvfrom(4096)
            except OSError:
                return
            if not sender or not asked:
                return
            self.seen.append(asked)
            answer = self.answer(asked)
            if answer is not None:
                self.socket.sendto(answer, sender)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


def test_udp_wants_the_bytes_that_are_expected(stage, checked):
    server = stage.add(Datagrams(lambda asked: b'pong'))
    proxy = checked(stage.origin(answers(ok(b''))),
                    health=f'type = udp  port = {server.port}  send = "hex:0070696e67"  '
                           f'expect = "ong"  {FAST}')
    proxy.awaits_up('b0')
    assert server.seen[0] == b'\0ping'
    server.answer = lambda asked: b'nothing'
    proxy.awaits_up()
    server.answer = lambda asked: None
    await_until(lambda: proxy.backends()['b0']['error'].startswith('timed out'), 'silence')


def dns(flags, records, forged=b''):
    def answer(asked):
        return (forged or asked[:2]) + flags.to_bytes(2, 'big') + asked[4:6] + \
            records.to_bytes(2, 'big') + asked[8:]
    return answer


def test_dns_wants_a_record_and_no_error(stage, checked):
    server = stage.add(Datagrams(dns(0x8180, 1)))
    proxy = checked(stage.origin(answers(ok(b''))),
                    health=f'type = dns  port = {server.port}  name = "example.org"  {FAST}')
    proxy.awaits_up('b0')
    for answer, error in ((dns(0x8182, 0), 'the answer is SERVFAIL'),
                          (dns(0x8180, 0), 'the answer has no record'),
                          (dns(0x8180, 1, b'no'), 'timed out without the expected answer')):
        server.answer = answer
        await_until(lambda e=error: proxy.backends()['b0']['error'] == e, error)
    assert proxy.up() == set()


# ---- programs ---------------------------------------------------------------------------

def program(folder, text):
    path = folder / 'check'
    path.write_text(f'#!/bin/sh\n{text}\n')
    os.chmod(path, 0o755)
    for parent in (folder, *folder.parents):
        if str(parent).startswith('/tmp/'):
            os.chmod(parent, 0o755)
    return path


def test_a_program_says_by_its_status(stage, checked, tmp_path):
    b0, b1 = pair(stage)
    sick = tmp_path / 'sick'
    path = program(tmp_path, f'[ "$1" = word ] && [ "$SLUICE_SERVICE" = site ] &&'
                             f' ! grep -q "^$SLUICE_BACKEND $SLUICE_ADDRESS $SLUICE_PORT$" {sick}')
    sick.write_text('')
    proxy = checked(b0, b1, health=f'type = exec  command = {{ "{path}", "word" }}  '
                                   'interval = 500ms  rise = 1  fall = 1')
    proxy.awaits_up('b0', 'b1')
    sick.write_text(f'b1 127.0.0.1 {b1.port}\n')
    proxy.awaits_up('b0')
    assert proxy.backends()['b1']['error'] == 'status 1' and proxy.asked() == {'b0'}


def test_a_program_that_does_not_end_is_killed_with_all_it_started(stage, checked, tmp_path):
    pids = tmp_path / 'pids'
    pids.touch()
    path = program(tmp_path, f'sleep 1000 & echo $! $$ >>{pids}; exec sleep 1000')
    os.chmod(pids, 0o666)
    proxy = checked(stage.origin(answers(ok(b''))),
                    health=f'type = exec  command = {{ "{path}" }}  interval = 300ms  fall = 1')
    proxy.awaits_up()
    assert proxy.backends()['b0']['error'] == 'timed out; it was killed'
    for pid in pids.read_text().splitlines()[0].split():
        await_until(lambda p=pid: not os.path.exists(f'/proc/{p}'), f'{pid} is gone')


def test_a_program_that_is_not_there_is_a_failure(stage, checked):
    proxy = checked(stage.origin(answers(ok(b''))),
                    health=f'type = exec  command = {{ "/nonexistent/check" }}  {FAST}')
    proxy.awaits_up()
    assert 'No such file' in proxy.backends()['b0']['error']


# ---- pools, the daemon's life -----------------------------------------------------------

def test_with_too_few_left_all_are_used(stage, checked):
    b0, b1 = pair(stage)
    proxy = checked(b0, b1, health=f'{HTTP}  floor = 60')
    proxy.awaits_up('b0', 'b1')
    b0.health = ok(start='HTTP/1.1 503 No')
    proxy.awaits_up('b1')
    assert proxy.asked() == {'b0', 'b1'}
    assert proxy.health()['panics'] == 1 and proxy.backends()['b0']['panic']
    assert 'site: only 1 of 2 backends are up, which is less than floor = 60 percent' in proxy.said()
    b0.health = ok(b'')
    proxy.awaits_up('b0', 'b1')
    proxy.awaits('site: enough backends are up')


def test_without_a_floor_nobody_is_asked_when_all_are_down(stage, checked):
    b0, b1 = pair(stage)
    b0.health = b1.health = ok(start='HTTP/1.1 503 No')
    proxy = checked(b0, b1, health=f'{HTTP}  floor = 0')
    proxy.awaits_up()
    assert proxy.ask().status in (502, 503)
    assert b'GET / ' not in b''.join(bytes(c.got) for o in (b0, b1) for c in o.conns)


def test_the_next_daemon_begins_with_what_was_known(stage, checked):
    b0, b1 = pair(stage)
    b0.health = ok(start='HTTP/1.1 503 No')
    health = 'type = http  path = "/health"  interval = 10m  timeout = 10m'
    proxy = checked(b0, b1, health=health)
    proxy.awaits_up('b1')
    before = proxy.backends()['b0']
    proxy.stop()
    b0.health = b1.health = b''  # checks get no answer from now on
    again = stage.add(Checked(os.path.dirname(proxy.state), b0, b1, health=health))
    assert again.asked() == {'b1'}
    after = again.backends()['b0']
    assert (after['up'], after['known'], after['since_ms']) == (False, True, before['since_ms'])


def test_states_outlive_a_reload_and_the_worker(stage, checked):
    b0, b1 = pair(stage)
    b0.health = ok(start='HTTP/1.1 503 No')
    proxy = checked(b0, b1, health=HTTP, drain='5s')
    proxy.awaits_up('b1')
    since = proxy.backends()['b0']['since_ms']
    proxy.signal(signal.SIGHUP)
    proxy.awaits('reloaded')
    assert proxy.asked() == {'b1'}
    proxy.kill(proxy.worker())
    proxy.awaits('ready again')
    assert proxy.asked() == {'b1'} and proxy.backends()['b0']['since_ms'] == since
    b0.health = ok(b'')
    proxy.awaits_up('b0', 'b1')
    await_until(lambda: proxy.asked() == {'b0', 'b1'}, 'both are asked')


def checkers(proxy):
    return [pid for pid in proxy.workers() if pid != proxy.worker()]


def test_a_checker_that_dies_is_started_again_and_states_stay(stage, checked):
    b0, b1 = pair(stage)
    proxy = checked(b0, b1, health=HTTP)
    proxy.awaits_up('b0', 'b1')
    b0.health = ok(start='HTTP/1.1 503 No')
    proxy.awaits_up('b1')
    pid, = checkers(proxy)
    proxy.kill(pid)
    proxy.awaits('ended with signal=9')
    assert proxy.asked() == {'b1'}
    b0.health = ok(b'')
    proxy.awaits_up('b0', 'b1')


def test_the_checker_has_no_privilege(stage, checked):
    if os.geteuid() != 0:
        pytest.skip('needs root')
    proxy = checked(stage.origin(answers(ok(b''))), health=f'type = tcp  {FAST}')
    proxy.awaits_up('b0')
    pid, = checkers(proxy)
    with open(f'/proc/{pid}/status', encoding='ascii') as f:
        status = f.read()
    assert re.search(r'CapPrm:\s+0+$', status, re.M) and re.search(r'NoNewPrivs:\s+1', status)
    assert not re.search(r'Uid:\s+0', status)
    if not sanitized():
        assert re.search(r'Seccomp:\s+2', status)


def test_checkers_end_with_the_daemon(stage, checked):
    proxy = checked(stage.origin(answers(ok(b''))), health=f'type = tcp  {FAST}')
    proxy.awaits_up('b0')
    pid, = checkers(proxy)
    proxy.kill(proxy.pid)
    await_until(lambda: not os.path.exists(f'/proc/{pid}') or
                open(f'/proc/{pid}/stat', encoding='ascii').read().split()[2] == 'Z', 'its end')


def test_two_thousand_backends_in_one_loop(stage):
    """One server on all of 127/8; ten of the backends are elsewhere, where there is none."""
    server = socket.create_server(('0.0.0.0', 0), backlog=4096)
    port, dead = server.getsockname()[1], free_port()
    running = True

    def accept():
        while running:
            try:
                server.accept()[0].close()
            except OSError:
                return
    threading.Thread(target=accept, daemon=True).start()
    folder = stage.folder
    pools = '\n'.join(
        f'pool "p{p}" {{ health {{ interval = 1s  jitter = 0  timeout = 900ms }}\n' + '\n'.join(
            f'backend "b{b}" {{ address = "127.{p + 1}.{b // 250}.{b % 250 + 1}:'
            f'{dead if b < 5 else port}" }}' for b in range(1000)) + '\n}' for p in range(2))
    path = folder / 'many.conf'
    path.write_text(f'daemon {{ state = "{folder}/state"  threads = 1 }}\n{pools}\n'
                    f'service "s" {{ kind = l7  listen = {{ "127.0.0.1:{free_port()}" }}\n'
                    f'backend "b" {{ address = "127.0.0.1:{port}" }} }}\n')
    daemon = stage.add(Sluiced([SLUICED, '--no-gate', '-c', str(path)]))
    daemon.awaits('ready')
    daemon.state = str(folder / 'state')

    def all_known():
        backends = Checked.health(daemon)['backends']
        return len(backends) == 2000 and all(b['known'] for b in backends) and \
            {b['up'] for b in backends if not b['address'].endswith(f':{dead}')} == {True} and \
            {b['up'] for b in backends if b['address'].endswith(f':{dead}')} == {False}
    await_until(all_known, 'a first result of each')
    running = False
    server.close()
