# SPDX-License-Identifier: BSD-2-Clause
"""The keeper with a gate: a host in a network and mount namespace of its own, with the gate on
one end of a veth pair, clients and origin on the host itself. Needs root."""
import ctypes
import os
import signal
import socket
import subprocess

import pytest
from actors import DEADLINE, ROOT, SLUICED, Sluiced, await_until
from test_keeper import IS_ROOT, Asking, Origin, ask, gone

SLUICE = os.path.join(os.path.dirname(SLUICED), 'sluice')
PINS = '/sys/fs/bpf/sluice'
VIP4, VIP6, PORTS4 = '198.51.100.20', '2001:db8:51::20', '198.51.100.21'
CLONE_NEWNET = 0x40000000

CONFIG = '''
gate {{ interfaces = {{ "v0" }}  max_conns = 1024 }}
daemon {{ user = "nobody" threads = {threads} drain_timeout = 20s access_log = "off" }}
service "site" {{
	kind   = l7
	listen = {{ {listen} }}
	backend "origin" {{ address = "127.0.0.1:{origin}" }}
}}
'''
LISTEN = [f'{VIP4}:80', f'[{VIP6}]:80', f'{PORTS4}:*']

pytestmark = pytest.mark.skipif(not IS_ROOT, reason='needs root: namespaces and BPF')
libc = ctypes.CDLL(None, use_errno=True)


class Host:
    """A holder process; commands and sockets go into its namespaces."""

    def __init__(self, folder):
        script = ('mount -t sysfs sysfs /sys && mount -t bpf bpf /sys/fs/bpf && '
                  'ip link set lo up && '
                  'ip link add v0 type veth peer name v1 && ip link set v0 up && '
                  'ip link set v1 up && echo up && exec sleep infinity')
        self.holder = subprocess.Popen(['unshare', '--net', '--mount', 'sh', '-c', script],
                                       stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == 'up\n'
        self.path = os.path.join(folder, 'test.conf')
        self.daemons = []

    def command(self, *words):
        return ['nsenter', '-t', str(self.holder.pid), '-n', '-m', '-r',
                '-w' + ROOT, *map(str, words)]

    def run(self, *words, check=True):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60,
                              check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def write(self, origin, listen=None, threads=2):
        with open(self.path, 'w', encoding='ascii') as f:
            f.write(CONFIG.format(threads=threads, origin=origin.port,
                                  listen=', '.join(f'"{at}"' for at in listen or LISTEN)))

    def attach(self):
        self.run(SLUICE, 'attach', 'v0', '-c', self.path)

    def start(self):
        """nsenter becomes sluiced: the process is the keeper."""
        self.daemons.append(Sluiced(self.command(SLUICED, '-c', self.path)))
        return self.daemons[-1]

    def inside(self, make):
        """What make() opens belongs to the host's network."""
        with open('/proc/self/ns/net', 'rb') as own, \
                open(f'/proc/{self.holder.pid}/ns/net', 'rb') as there:
            assert libc.setns(there.fileno(), CLONE_NEWNET) == 0
            try:
                return make()
            finally:
                assert libc.setns(own.fileno(), CLONE_NEWNET) == 0

    def connect(self, ip=VIP4, port=80):
        return self.inside(lambda: socket.create_connection((ip, port), DEADLINE))

    def ask(self, ip=VIP4, port=80):
        return ask(port, sock=self.connect(ip, port))

    def refuses(self, ip=VIP4, port=80):
        try:
            self.connect(ip, port).close()
            return False
        except ConnectionRefusedError:
            return True

    def close(self):
        for daemon in self.daemons:
            daemon.close()
        self.holder.kill()
        self.holder.wait()


@pytest.fixture
def host(tmp_path):
    h = Host(tmp_path)
    yield h
    h.close()


@pytest.fixture
def origin(host):
    o = host.inside(Origin)
    yield o
    o.close()


@pytest.fixture
def served(host, origin):
    """Gate and daemon run on one file."""
    host.write(origin)
    host.attach()
    return host.start().awaits('ready')


def test_vips_of_both_families_and_every_port(host, served):
    assert 'steered=yes' in served.said() and 'warning' not in served.said()
    for ip, port in ((VIP4, 80), (VIP6, 80), (PORTS4, 1), (PORTS4, 443), (PORTS4, 65535)):
        assert host.ask(ip, port) == (200, 'origin'), (ip, port)
    assert host.refuses(VIP4, 81)


def test_no_address_is_bound(host, served):
    """Not even to be reached from outside at some port of the kernel's choice."""
    bound = [line.split()[3] for line in host.run('ss', '-Hltn').stdout.splitlines()]
    assert len(bound) == 1 + 2, bound
    assert all(at.startswith(('127.0.0.1:', '[::ffff:127.0.0.1]:')) for at in bound), bound


def test_an_any_address_is_bound_beside_steering(host, origin):
    host.write(origin, LISTEN + ['0.0.0.0:8081'])
    host.attach()
    host.start().awaits('ready')
    assert host.ask('127.0.0.1', 8081) == host.ask(VIP4, 80) == (200, 'origin')


def test_what_the_gate_does_not_know_is_said_and_mended_without_restart(host, origin):
    host.write(origin, LISTEN[:1])
    host.attach()
    host.write(origin)
    daemon = host.start().awaits('ready')
    assert f'sluice apply -c {host.path}' in daemon.said() and '2 of the' in daemon.said()
    assert host.ask(VIP4) == (200, 'origin')
    host.run(SLUICE, 'apply', '-c', host.path)
    assert host.ask(VIP6) == (200, 'origin')


def test_a_gate_without_steering_is_said(host, origin):
    host.write(origin)
    host.attach()
    host.run('rm', f'{PINS}/steer_link')
    daemon = host.start().awaits('ready')
    assert 'steering is not attached' in daemon.said()
    host.run(SLUICE, 'apply', '-c', host.path)
    assert host.ask() == (200, 'origin')


def test_pins_of_another_version_are_refused(host, origin):
    host.write(origin)
    host.attach()
    host.run('bpftool', 'map', 'update', 'pinned', f'{PINS}/meta', 'key', *'0000', 'value', '99',
             *['0'] * 23)
    done = host.run(SLUICED, '-c', host.path, check=False)
    assert done.returncode == 1
    assert '99' in done.stderr and 'detach --all' in done.stderr


def test_without_a_gate_one_warning_says_how_to_attach(host, origin):
    host.write(origin, ['127.0.0.1:80'])
    daemon = host.start().awaits('ready')
    warnings = [line for line in daemon.said().split('\n') if 'warning' in line]
    assert len(warnings) == 1 and 'sluice attach' in warnings[0] and 'blocklist' in warnings[0]
    assert host.ask('127.0.0.1') == (200, 'origin')


def test_a_second_daemon_is_refused(host, served):
    done = host.run(SLUICED, '-c', host.path, check=False)
    assert done.returncode == 1 and 'another sluiced' in done.stderr
    assert host.ask() == (200, 'origin')


def test_connections_wait_for_the_next_worker(host, served):
    first = served.worker()
    os.kill(first, signal.SIGKILL)
    assert host.ask() == (200, 'origin')
    assert served.worker() != first


def test_after_its_death_another_keeper_adopts_the_pins(host, served):
    worker = served.worker()
    served.process.kill()
    host.start().awaits('ready')
    assert host.ask() == (200, 'origin')
    await_until(lambda: gone(worker), 'the old worker has ended')


def test_while_one_drains_the_next_one_serves(host, origin, served):
    running = Asking(origin, sock=host.connect())
    served.signal(signal.SIGTERM)
    await_until(host.refuses, 'nothing new is taken')
    host.start().awaits('ready')
    assert host.ask() == (200, 'origin')
    origin.let_go.set()
    assert running.result() == (200, 'origin')
    assert served.ends() == 0
    assert host.ask() == (200, 'origin')


def test_a_gate_attached_anew_is_found(host, served):
    host.run(SLUICE, 'detach', '--all')
    host.attach()
    served.awaits('attached anew')
    assert host.ask() == (200, 'origin')


@pytest.mark.parametrize('threads', [1, 4])
def test_reload_loses_no_connection(host, origin, served, threads):
    host.write(origin, threads=threads)
    served.signal(signal.SIGHUP)
    while 'reloaded' not in served.said():
        assert host.ask() == (200, 'origin')
    assert f'threads={threads}' in served.said()
    await_until(lambda: len(served.workers()) == 1, 'the old worker has drained')
    for _ in range(8):
        assert host.ask(VIP6) == (200, 'origin')
