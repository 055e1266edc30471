# SPDX-License-Identifier: BSD-2-Clause
"""CPU time of a proxy per request: sluiced, nginx, HAProxy and a byte forwarder (the floor).

Runs in namespaces of its own (scripts/bench sees to that). Every proxy has core 0 to itself
for its turn; wrk and the origin share core 1. The turns of one case follow each other and
the whole is repeated, so that what else the machine does hits all alike; the median of
the rounds counts. CPU time is user + system of the proxy's processes (/proc/PID/stat), all
threads; requests are those that wrk saw answered.
"""
import os
import resource
import selectors
import shutil
import socket
import subprocess
import sys

import l7_more
from proxies import HERE, LOAD_CORE, PEERS, PROXY_CORE, Proxy, wrk
from table import Results, skip

ROUNDS = int(os.environ.get('ROUNDS', 3))
SECONDS = float(os.environ.get('SECONDS', 2))
IDLE = [int(n) for n in os.environ.get('IDLE', '1000 10000').split()]

# (name, path, connections, headers that wrk adds)
CASES = [
    ('keep-alive, 130 B, 64 conns', '/130', 64, []),
    ('keep-alive, 130 B, 512 conns', '/130', 512, []),
    ('keep-alive, 10 KB, 64 conns', '/10k', 64, []),
    ('keep-alive, 10 KB, 512 conns', '/10k', 512, []),
    ('connection per request, 130 B, 64', '/130', 64, ['-H', 'Connection: close']),
    ('connection per request, 130 B, 512', '/130', 512, ['-H', 'Connection: close']),
]


def measure(results, proxies):
    for n in range(ROUNDS):
        for case, path, connections, headers in CASES:
            for proxy in proxies:
                before = proxy.cpu_us()
                requests, _, bad = wrk(proxy.port, path, connections, headers, SECONDS)
                if bad:
                    results.note(f'{proxy.name}, {case}: {bad}')
                if requests:
                    results.add(case, proxy.name, (proxy.cpu_us() - before) / requests)
        print(f'round {n + 1} of {ROUNDS} done', file=sys.stderr)


class Idlers:
    """Connections that asked once, were answered, and now stay."""

    REQUEST = b'GET /130 HTTP/1.1\r\nHost: bench\r\n\r\n'

    def __init__(self, port, count):
        self.sockets = []
        self.port = port
        while len(self.sockets) < count:
            self.more(min(200, count - len(self.sockets)))

    def more(self, count):
        """In batches, so that no backlog decides who gets in."""
        waiting = selectors.DefaultSelector()
        for _ in range(count):
            s = socket.create_connection(('127.0.0.1', self.port))
            s.sendall(self.REQUEST)
            waiting.register(s, selectors.EVENT_READ, bytearray())
            self.sockets.append(s)
        while waiting.get_map():
            ready = waiting.select(timeout=10)
            if not ready:
                raise RuntimeError('an idle connection got no answer')
            for key, _ in ready:
                chunk = key.fileobj.recv(65536)
                key.data.extend(chunk)
                if key.data.endswith(b'x' * 130) or not chunk:
                    waiting.unregister(key.fileobj)

    def close(self):
        for s in self.sockets:
            s.close()


def measure_idle(results, proxies):
    """Each contender freshly started: memory that an earlier case took is not counted."""
    for name in proxies:
        for count in IDLE:
            # A proxy that also holds a connection to the origin for each needs twice as many.
            if 2 * count + 100 > resource.getrlimit(resource.RLIMIT_NOFILE)[0] and name == 'floor':
                continue
            proxy = Proxy(name, *PEERS[name], PROXY_CORE)
            Idlers(proxy.port, 1).close()  # code and tables that the first request touches
            empty = proxy.rss()
            idlers = Idlers(proxy.port, count)
            results.add(f'memory, {count} idle connections', name,
                        (proxy.rss() - empty) / count, 'B/conn')
            idlers.close()
            proxy.stop()


def prepare():
    if len(os.sched_getaffinity(0)) < 2:
        skip('it takes two cores: one for the proxy, one for the load')
    if not shutil.which('wrk') or not shutil.which('nginx'):
        skip('wrk and nginx are missing; `scripts/deps bench` installs them')
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for setting in ('net.core.somaxconn=65535', 'net.ipv4.tcp_tw_reuse=1',
                    'net.ipv4.tcp_max_syn_backlog=65535',
                    'net.ipv4.ip_local_port_range=10000 65535'):
        subprocess.run(['sysctl', '-q', '-w', setting], check=True)
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    os.makedirs('/run/www')
    for name, size in (('10k', 10240), ('100m', l7_more.BODY)):
        with open(f'/run/www/{name}', 'wb') as f:
            f.write(b'x' * size)


def main():
    prepare()
    results = Results('l7', 'us CPU/req', list(PEERS))
    origin = Proxy('origin', 9000, ['nginx', '-p', '/run', '-c', f'{HERE}/peers/origin.conf'],
                   LOAD_CORE)
    proxies = []
    for name, (port, command) in PEERS.items():
        if shutil.which(command[0]):
            proxies.append(Proxy(name, port, command, PROXY_CORE))
        else:
            results.note(f'{name} is not here ({command[0]})')
    measure(results, proxies)
    l7_more.bodies(results, proxies, ROUNDS)
    l7_more.tail(results, [p for p in proxies if p.name != 'floor'], ROUNDS, SECONDS)
    for proxy in proxies:
        proxy.stop()
    measure_idle(results, [p.name for p in proxies])
    others = [l7_more.routes(ROUNDS, SECONDS), l7_more.parser()]
    l7_more.left(results)
    origin.stop()
    results.note('the floor opens an upstream connection for each client connection; the '
                 'others pool them')
    for table in (results, *others):
        table.print_table()
        table.save()


main()
