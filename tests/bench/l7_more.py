# SPDX-License-Identifier: BSD-2-Clause
"""The cases of `scripts/bench l7` beside CPU time for small requests: large bodies, many routes,
the slowest of answers, the parser alone, connections that are left."""
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from proxies import BUILD, LOAD_CORE, PROXY_CORE, Proxy, sluice, wrk
from table import Results

BODY = 100 * 1000 * 1000
GB = 1e9
ROUTES = 10000
LEFT = int(os.environ.get('LEFT', 100000))
LIMIT = 12000   # connections that the sluiced of `left` takes
IN_A_HEAD = LIMIT * 3 // 4
LOAD = 0.7      # of what the slowest contender can do
CLIENTS = 64


# ---- large bodies -------------------------------------------------------------------------

def curl(arguments, port, path):
    """Four at once, so that the proxy always has something to do."""
    running = [subprocess.Popen(['taskset', '-c', str(LOAD_CORE), 'curl', '-sf', '-o', '/dev/null',
                                 *arguments, f'http://127.0.0.1:{port}{path}'])
               for _ in range(4)]
    if any([p.wait() for p in running]):
        raise RuntimeError(f'a body of {path} did not get through port {port}')
    return 4 * BODY / GB


def bodies(results, proxies, rounds):
    upload = ['-T', '/run/www/100m', '-X', 'POST', '-H', 'Expect:']
    for n in range(rounds):
        for case, arguments, path in (('body of 100 MB, down, 4 conns', [], '/100m'),
                                      ('body of 100 MB, up, 4 conns', upload, '/up')):
            for proxy in proxies:
                before = proxy.cpu_us()
                gigabytes = curl(arguments, proxy.port, path)
                results.add(case, proxy.name, (proxy.cpu_us() - before) / 1000 / gigabytes,
                            'ms CPU/GB')
        print(f'bodies: round {n + 1} of {rounds} done', file=sys.stderr)


# ---- the slowest answers ------------------------------------------------------------------

def percentile(times, part):
    times.sort()
    return times[min(len(times) - 1, int(len(times) * part))]


def paced(port, rate, seconds):
    """Microseconds of each answer, at so many requests in a second."""
    with tempfile.NamedTemporaryFile(mode='r', dir='/run') as log:
        subprocess.run(['taskset', '-c', str(LOAD_CORE), 'h2load', '--h1', f'-c{CLIENTS}', '-t1',
                        f'--rps={rate / CLIENTS:.1f}', f'--duration={seconds}',
                        f'--log-file={log.name}', f'http://127.0.0.1:{port}/130'],
                       check=True, stdout=subprocess.DEVNULL)
        rows = [line.split() for line in log]
    return [int(row[2]) for row in rows if row[1] == '200']


def tail(results, proxies, rounds, seconds):
    """All at the same rate: a share of what the slowest of them can do."""
    if not shutil.which('h2load'):
        results.note('h2load is not here: no latencies')
        return
    most = min(wrk(p.port, '/130', CLIENTS, [], seconds)[1] for p in proxies)
    seconds = max(3, round(seconds))
    for n in range(rounds):
        for proxy in proxies:
            times = paced(proxy.port, LOAD * most, seconds)
            for part, name in ((0.5, 'p50'), (0.99, 'p99')):
                results.add(f'latency at {LOAD:.0%} load, {name}', proxy.name,
                            percentile(times, part), 'us')
        print(f'latency: round {n + 1} of {rounds} done', file=sys.stderr)


# ---- many routes --------------------------------------------------------------------------

ASK = '''
local n, host = 0, %s
request = function()
    n = (n * 1103515245 + 12345) %% 2147483648
    return wrk.format("GET", "/130", {["Host"] = host and string.format(host, n %% %d) or "bench"})
end
'''


def routes(rounds, seconds):
    """The same requests, to hosts by the thousand, where one route has all of them and where each
    host has a route of its own; and likewise to paths of one host."""
    results = Results('l7-routes', 'us CPU/req', ['sluice', 'one route'])
    each = ''.join(f'route "r{i}" {{ host = "h{i}.example" }}\n' for i in range(ROUTES))
    paths = ''.join(f'route "r{i}" {{ path = "/p{i}/*"  deny = 403 }}\n' for i in range(ROUTES))
    with open('/run/hosts.lua', 'w', encoding='ascii') as f:
        f.write(ASK % ('"h%d.example"', ROUTES))
    for case, service, arguments in (
            (f'{ROUTES} virtual hosts, each asked', each, ['-s', '/run/hosts.lua']),
            (f'{ROUTES} routes by path, none of them asked', paths, [])):
        running = [Proxy('sluice', *sluice('many', 9005, '', service), PROXY_CORE),
                   Proxy('one route', *sluice('one', 9006, '', 'route "all" { }'), PROXY_CORE)]
        for _ in range(rounds):
            for proxy in running:
                before = proxy.cpu_us()
                requests, _, bad = wrk(proxy.port, '/130', 64, arguments, seconds)
                if bad:
                    results.note(f'{proxy.name}, {case}: {bad}')
                results.add(case, proxy.name, (proxy.cpu_us() - before) / requests)
        for proxy in running:
            proxy.stop()
    return results


# ---- the parser ---------------------------------------------------------------------------

def parser():
    """See parser.c."""
    results = Results('l7-parser', 'ns', ['sluice', 'http-parser'])
    out = subprocess.run(['taskset', '-c', str(PROXY_CORE), f'{BUILD}/tests/bench/parser'],
                         capture_output=True, text=True, check=True).stdout
    for name, who, size, ns in map(str.split, out.splitlines()):
        results.add(f"parsing the request '{name}', {size} B", who, float(ns))
        results.note(f"'{name}' by {who}: {int(size) / float(ns):.2f} GB/s")
    return results


# ---- connections that are left ------------------------------------------------------------

def leave(port, source, words, count, opened):
    """Opens them, says a word on each, and holds them; how many, it says in `opened`."""
    sockets = []
    while len(sockets) < count:
        s = socket.socket()
        s.bind((source, 0))
        s.settimeout(10)
        try:
            s.connect(('127.0.0.1', port))
            s.send(words)
        except OSError:
            break
        sockets.append(s)
    opened.put(len(sockets))
    time.sleep(3600)


def answered(port):
    """Milliseconds until a new client has its answer; None: it gets none within 10 s."""
    begin = time.monotonic()
    try:
        with socket.create_connection(('127.0.0.1', port), timeout=10) as s:
            s.settimeout(10)
            s.sendall(b'GET /130 HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n')
            if not s.recv(65536).startswith(b'HTTP/1.1 200'):
                return None
    except OSError:
        return None
    return (time.monotonic() - begin) * 1000


def left(results):
    """Most are silent, some stop in a head: more than the daemon takes, from many addresses."""
    proxy = Proxy('sluice', *sluice('left', 9007, f'max_connections = {LIMIT}', ''), PROXY_CORE)
    opened, empty, people = multiprocessing.Queue(), proxy.rss(), []
    share = (LEFT - IN_A_HEAD) // 8
    crowds = [(b'GET / HTTP/1.1\r\nHost: b', IN_A_HEAD), *[(b'', share)] * 8]
    for n, (words, count) in enumerate(crowds):
        people.append(multiprocessing.Process(
            target=leave, args=(proxy.port, f'127.0.1.{n + 1}', words, count, opened)))
        people[-1].start()
    times = []
    while opened.qsize() < len(crowds):
        times.append(answered(proxy.port))
        time.sleep(0.1)
    total = sum(opened.get() for _ in crowds)
    times += [answered(proxy.port) for _ in range(20)]
    good = [t for t in times if t is not None]
    results.add(f'memory, {LEFT} left, at most {LIMIT} taken', 'sluice',
                (proxy.rss() - empty) / LIMIT, 'B/conn')
    results.note(f'{total} connections were opened and left; {len(good)} of {len(times)} clients '
                 f'that came meanwhile were answered, the slowest in {max(good or [0]):.0f} ms')
    for person in people:
        person.kill()
    proxy.stop()
