# SPDX-License-Identifier: BSD-2-Clause
"""The keeper: start, the worker's jail and deaths, reload, stop. A client, sluiced, and an
origin that answers when the test lets it. Ordinary sockets on loopback; the gate's part is
in test_keeper_gate.py and in the lab."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import pytest
from actors import DEADLINE, SLUICED, Sluiced, await_until, free_port, sanitized

IS_ROOT = os.geteuid() == 0

CONFIG = '''
daemon {{ user = "{user}" threads = 2 drain_timeout = {drain} access_log = "{log}" }}
service "site" {{
	kind   = l7
	listen = {{ {listen} }}
	backend "origin" {{ address = "127.0.0.1:{origin}" }}
}}
'''


# ---- actors -----------------------------------------------------------------------------

class Origin:
    """Answers every request with its own name; /hold only once it is let go."""

    def __init__(self, name='origin'):
        self.name, self.let_go, self.held = name, threading.Event(), threading.Semaphore(0)
        self.socket = socket.create_server(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn = self.socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        with conn, conn.makefile('rb') as lines:
            while True:
                head = b''
                while not head.endswith(b'\r\n\r\n'):
                    line = lines.readline()
                    if not line:
                        return
                    head += line
                if b' /hold ' in head:
                    self.held.release()
                    self.let_go.wait()
                body = self.name.encode()
                try:
                    conn.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s'
                                 % (len(body), body))
                except OSError:
                    return

    def close(self):
        self.let_go.set()
        self.socket.close()


def ask(port, path='/', host='127.0.0.1', sock=None):
    """(status, body) of one request."""
    with sock or socket.create_connection((host, port), DEADLINE) as s:
        s.settimeout(DEADLINE)
        s.sendall(f'GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n'.encode())
        answer = b''
        while True:
            data = s.recv(65536)
            if not data:
                break
            answer += data
    head, _, body = answer.partition(b'\r\n\r\n')
    return (int(head.split()[1]) if head else 0), body.decode()


def refused(port, host='127.0.0.1'):
    try:
        socket.create_connection((host, port), DEADLINE).close()
        return False
    except ConnectionRefusedError:
        return True


class Asking:
    """One request in the background, held by the origin until it is let go."""

    def __init__(self, origin, port=None, sock=None):
        self.answer = None
        self.thread = threading.Thread(target=self.run, args=(port, sock))
        self.thread.start()
        assert origin.held.acquire(timeout=DEADLINE)

    def run(self, port, sock):
        try:
            self.answer = ask(port, '/hold', sock=sock)
        except OSError as e:
            self.answer = (0, str(e))

    def result(self):
        self.thread.join(DEADLINE)
        return self.answer


@pytest.fixture
def origin():
    o = Origin()
    yield o
    o.close()


@pytest.fixture
def stage(tmp_path):
    """Writes files and starts daemons on them."""
    class Stage:
        port = free_port()
        log = tmp_path / 'access.log'
        path = tmp_path / 'test.conf'
        started = []

        def write(self, origin_port=9, listen=None, user='nobody', drain='20s', log='off', text=None):
            listen = listen or [f'127.0.0.1:{self.port}']
            self.path.write_text(text or CONFIG.format(
                user=user, drain=drain, origin=origin_port, log=log,
                listen=', '.join(f'"{at}"' for at in listen)))
            return str(self.path)

        def start(self, *arguments, command=(SLUICED, '--no-gate'), **options):
            daemon = Sluiced([*command, '-c', str(self.path), *arguments], **options)
            self.started.append(daemon)
            return daemon

        def serve(self, origin, **written):
            self.write(origin.port, **written)
            return self.start().awaits('ready')

    s = Stage()
    s.started = []
    yield s
    for daemon in s.started:
        daemon.close()


def run(*arguments):
    return subprocess.run([SLUICED, *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, check=False)


# ---- the command line -------------------------------------------------------------------

def test_usage():
    assert run('--help').returncode == 0
    assert re.match(r'sluiced \d+\.\d+', run('--version').stdout)
    for wrong in ([], ['-n'], ['--what'], ['-c', 'a', 'b']):
        done = run(*wrong)
        assert done.returncode == 2 and 'usage:' in done.stderr


def test_n_accepts_a_good_file(stage):
    done = run('-n', '-c', stage.write())
    assert done.returncode == 0, done.stderr
    assert refused(stage.port)


def test_n_prints_every_mistake(stage):
    path = stage.write(text='daemon { threads = many }\nservice "a" { kind = l9 }\n')
    done = run('-n', '-c', path)
    assert done.returncode == 1
    assert f'{path}:1:' in done.stderr and f'{path}:2:' in done.stderr


def test_an_account_that_is_not_there(stage):
    stage.write(user='no-such-user-here')
    for arguments in (['-n'], ['--no-gate']):
        done = run(*arguments, '-c', stage.path)
        assert done.returncode == 1 and 'no-such-user-here' in done.stderr


def test_no_file():
    done = run('-c', '/nonexistent/sluice.conf')
    assert done.returncode == 1 and '/nonexistent/sluice.conf' in done.stderr


def test_nothing_to_serve(stage):
    path = stage.write(text='service "a" { kind = l4 listen = { "198.51.100.1:80" } '
                            'backend "b" { address = "10.0.0.1" } }\n')
    done = run('--no-gate', '-c', path)
    assert done.returncode == 1 and 'no l7 service' in done.stderr


# ---- listening --------------------------------------------------------------------------

def test_both_families(stage, origin):
    six = free_port(socket.AF_INET6)
    stage.serve(origin, listen=[f'127.0.0.1:{stage.port}', f'[::1]:{six}'])
    assert ask(stage.port) == (200, 'origin')
    assert ask(six, host='::1') == (200, 'origin')


def test_any_address_of_a_family_is_of_that_family(stage, origin):
    stage.serve(origin, listen=[f'[::]:{stage.port}'])
    assert ask(stage.port, host='::1') == (200, 'origin')
    assert refused(stage.port)


@pytest.mark.parametrize('at, why', [('127.0.0.2:*', 'every port'),
                                     ('192.0.2.1:{port}', 'not an address of this host')])
def test_what_cannot_be_bound_is_explained(stage, at, why):
    path = stage.write(listen=[at.format(port=stage.port)])
    done = run('--no-gate', '-c', path)
    assert done.returncode == 1
    assert why in done.stderr and f'{path}:5' in done.stderr


def test_an_address_in_use(stage):
    with socket.create_server(('127.0.0.1', stage.port)):
        done = run('--no-gate', '-c', stage.write())
    assert done.returncode == 1 and 'another program listens there' in done.stderr


def test_a_second_daemon_is_refused(stage, origin):
    stage.serve(origin)
    done = run('--no-gate', '-c', stage.path)
    assert done.returncode == 1 and 'another program listens there' in done.stderr
    assert ask(stage.port) == (200, 'origin')


def test_started_with_closed_descriptors(stage, origin):
    """No socket may end up as somebody's stdin or stdout."""
    stage.write(origin.port)
    daemon = stage.start(command=['sh', '-c', f'exec {SLUICED} "$@" <&- >&-', '-', '--no-gate'])
    daemon.awaits('ready')
    assert ask(stage.port) == (200, 'origin')
    for pid in (daemon.pid, daemon.worker()):
        for fd in (0, 1):
            assert os.readlink(f'/proc/{pid}/fd/{fd}') == '/dev/null'


# ---- the jail ---------------------------------------------------------------------------

def status_of(pid):
    with open(f'/proc/{pid}/status', encoding='ascii') as f:
        return dict(line.rstrip('\n').split(':\t', 1) for line in f)


@pytest.mark.skipif(not IS_ROOT, reason='needs root, to give it up')
def test_the_worker_has_no_privilege(stage, origin):
    daemon = stage.serve(origin)
    worker = status_of(daemon.worker())
    assert set(worker['Uid'].split()) == set(worker['Gid'].split()) == {'65534'}
    assert worker['Groups'].split() == ['65534']
    for kind in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
        assert int(worker[kind], 16) == 0, kind
    assert worker['NoNewPrivs'] == '1'
    assert sanitized() or worker['Seccomp'] == '2'


@pytest.mark.skipif(not IS_ROOT, reason='needs root, to give some of it up')
def test_the_keeper_keeps_few_capabilities(stage, origin):
    keeper = status_of(stage.serve(origin).pid)
    dac_override, sys_admin, sys_ptrace, sys_module = 1 << 1, 1 << 21, 1 << 19, 1 << 16
    assert not int(keeper['CapPrm'], 16) & (dac_override | sys_admin | sys_ptrace | sys_module)
    assert keeper['NoNewPrivs'] == '1'


@pytest.mark.skipif(not IS_ROOT, reason='/proc/PID/fd of another account')
def test_the_worker_holds_sockets_and_its_log_alone(stage, origin):
    daemon = stage.serve(origin, log=stage.log)
    ask(stage.port)
    folder = f'/proc/{daemon.worker()}/fd'
    held = {int(fd): os.readlink(f'{folder}/{fd}') for fd in os.listdir(folder)}
    assert held.pop(0) == held.pop(1) == '/dev/null'
    held.pop(2)
    files = [name for name in held.values()
             if name.startswith('/') and not name.startswith('/memfd:sluice-')]
    assert files == [str(stage.log)], held
    assert not [name for name in held.values() if 'bpf' in name]


def test_without_root_it_serves_as_itself(stage, origin):
    """Also without --no-gate: one warning says what is off."""
    home = tempfile.mkdtemp()
    try:
        os.chmod(home, 0o755)
        program = shutil.copy(SLUICED, home)
        stage.path = type(stage.path)(shutil.copy(stage.write(origin.port), home))
        account = {'user': 'nobody', 'group': 'nogroup', 'extra_groups': []} if IS_ROOT else {}
        daemon = stage.start(command=[program], **account).awaits('ready')
        assert ask(stage.port) == (200, 'origin')
        assert daemon.said().count('warning:') == 1, daemon.said()
        assert 'ordinary proxy' in daemon.said() and 'steered=no' in daemon.said()
        worker = status_of(daemon.worker())
        assert worker['NoNewPrivs'] == '1' and int(worker['CapBnd'], 16) >= 0
    finally:
        shutil.rmtree(home)


# ---- deaths -----------------------------------------------------------------------------

def test_a_killed_worker_is_replaced_and_nobody_is_refused(stage, origin):
    daemon = stage.serve(origin)
    first = daemon.worker()
    os.kill(first, signal.SIGKILL)
    assert ask(stage.port) == (200, 'origin')
    assert daemon.worker() != first
    assert f'worker pid={first} was ended by signal=9' in daemon.said()


def test_the_second_death_costs_a_second_and_connections_wait(stage, origin):
    daemon = stage.serve(origin)
    os.kill(daemon.worker(), signal.SIGKILL)
    daemon.awaits('ready again')
    os.kill(daemon.worker(), signal.SIGSEGV)
    daemon.awaits('another worker starts in 1000 ms')
    assert daemon.workers() == []
    assert ask(stage.port) == (200, 'origin')
    daemon.awaits('ready again', times=2)


def test_the_worker_heeds_the_keeper_alone(stage, origin):
    daemon = stage.serve(origin)
    worker = daemon.worker()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(worker, number)
    assert ask(stage.port) == (200, 'origin')
    assert daemon.worker() == worker


def gone(pid):
    try:
        return status_of(pid)['State'].startswith('Z')
    except FileNotFoundError:
        return True


def test_without_its_keeper_the_worker_finishes_and_ends(stage, origin):
    daemon = stage.serve(origin)
    worker = daemon.worker()
    running = Asking(origin, stage.port)
    daemon.process.kill()
    await_until(lambda: refused(stage.port), 'nothing new is taken')
    stage.start().awaits('ready')
    assert ask(stage.port) == (200, 'origin')
    assert not gone(worker)
    origin.let_go.set()
    assert running.result() == (200, 'origin')
    await_until(lambda: gone(worker), 'the old worker has ended')


# ---- stopping ---------------------------------------------------------------------------

@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_stop_finishes_what_runs(stage, origin, number):
    daemon = stage.serve(origin)
    running = Asking(origin, stage.port)
    daemon.signal(number)
    await_until(lambda: refused(stage.port), 'nothing new is taken')
    assert daemon.process.poll() is None
    origin.let_go.set()
    assert running.result() == (200, 'origin')
    assert daemon.ends() == 0


def test_stop_twice_is_at_once(stage, origin):
    daemon = stage.serve(origin, drain='1h')
    running = Asking(origin, stage.port)
    worker = daemon.worker()
    daemon.signal(signal.SIGTERM)
    daemon.awaits('signal=15')
    daemon.signal(signal.SIGTERM)
    assert daemon.ends() == 0
    assert running.result()[0] == 0
    assert gone(worker)


def test_a_request_that_never_ends_is_cut_when_the_time_is_over(stage, origin):
    daemon = stage.serve(origin, drain='300ms')
    running = Asking(origin, stage.port)
    daemon.signal(signal.SIGTERM)
    assert daemon.ends() == 0
    assert running.result()[0] in (0, 502, 503, 504)


def test_stop_while_no_worker_runs(stage, origin):
    daemon = stage.serve(origin)
    os.kill(daemon.worker(), signal.SIGKILL)
    daemon.awaits('ready again')
    os.kill(daemon.worker(), signal.SIGKILL)
    daemon.awaits('another worker starts in')
    daemon.signal(signal.SIGTERM)
    assert daemon.ends() == 0


def test_a_worker_that_hangs_is_killed(stage, origin):
    daemon = stage.serve(origin, drain='300ms')
    worker = daemon.worker()
    os.kill(worker, signal.SIGSTOP)
    daemon.signal(signal.SIGTERM)
    assert daemon.ends() == 0
    assert gone(worker) and 'has not finished in time' in daemon.said()


# ---- reload -----------------------------------------------------------------------------

def test_a_bad_file_changes_nothing(stage, origin):
    daemon = stage.serve(origin)
    worker = daemon.worker()
    stage.write(text='service "site" {\n\tkind = l9\n}\n')
    daemon.signal(signal.SIGHUP)
    daemon.awaits('what ran before goes on')
    assert f'{stage.path}:2:' in daemon.said()
    assert ask(stage.port) == (200, 'origin') and daemon.worker() == worker


def test_an_address_that_cannot_be_bound_changes_nothing(stage, origin):
    daemon = stage.serve(origin)
    worker = daemon.worker()
    stage.write(origin.port, listen=[f'127.0.0.1:{stage.port}', f'192.0.2.1:{stage.port}'])
    daemon.signal(signal.SIGHUP)
    daemon.awaits('what ran before goes on')
    assert ask(stage.port) == (200, 'origin') and daemon.worker() == worker


def test_requests_end_on_the_file_that_they_began_with(stage, origin):
    other, port = Origin('other'), free_port()
    daemon = stage.serve(origin)
    running = Asking(origin, stage.port)
    stage.write(other.port, listen=[f'127.0.0.1:{stage.port}', f'127.0.0.1:{port}'])
    daemon.signal(signal.SIGHUP)
    daemon.awaits('reloaded')
    await_until(lambda: ask(stage.port) == (200, 'other'), 'the new file serves')
    assert ask(port) == (200, 'other')
    assert len(daemon.workers()) == 2
    origin.let_go.set()
    assert running.result() == (200, 'origin')
    await_until(lambda: len(daemon.workers()) == 1, 'the old worker has drained')
    other.close()


def test_an_address_that_is_gone_from_the_file_is_closed(stage, origin):
    port = free_port()
    daemon = stage.serve(origin, listen=[f'127.0.0.1:{stage.port}', f'127.0.0.1:{port}'])
    stage.write(origin.port)
    daemon.signal(signal.SIGHUP)
    daemon.awaits('reloaded')
    await_until(lambda: refused(port), 'the address is free')
    assert ask(stage.port) == (200, 'origin')


def test_no_connection_is_lost_by_reloads(stage, origin):
    daemon = stage.serve(origin)
    for n in range(1, 4):
        daemon.signal(signal.SIGHUP)
        while daemon.said().count('reloaded') < n:
            assert ask(stage.port) == (200, 'origin')
    await_until(lambda: len(daemon.workers()) == 1, 'the old workers have drained')
    assert ask(stage.port) == (200, 'origin')


def test_the_access_log_is_rotated(stage, origin):
    daemon = stage.serve(origin, log=stage.log)
    ask(stage.port, '/before')
    await_until(lambda: '/before' in stage.log.read_text(), 'the request is logged')
    old = stage.log.rename(f'{stage.log}.1')
    daemon.signal(signal.SIGHUP)
    daemon.awaits('reloaded')
    await_until(lambda: len(daemon.workers()) == 1, 'the old worker has drained')
    ask(stage.port, '/after')
    await_until(lambda: '/after' in stage.log.read_text(), 'the request is logged')
    assert '/after' not in old.read_text() and '/before' not in stage.log.read_text()
