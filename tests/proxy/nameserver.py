# SPDX-License-Identifier: BSD-2-Clause
"""The fourth actor: a name server on loopback, by UDP and TCP. A zone is a dict of (name, type)
to a list of addresses, or to None: then the question is never answered. A name of which there is
no type at all does not exist. What was asked is kept."""
import ipaddress
import socket
import struct
import threading

from actors import DEADLINE, await_until

A, AAAA, CNAME = 1, 28, 5


def wire(name):
    return b''.join(bytes([len(part)]) + part.encode() for part in name.split('.')) + b'\0'


def record(kind, data, ttl):
    return b'\xc0\x0c' + struct.pack('!HHIH', kind, 1, ttl, len(data)) + data


class Question:
    def __init__(self, packet):
        self.id, = struct.unpack('!H', packet[:2])
        at, labels = 12, []
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode().lower())
            at += packet[at] + 1
        self.kind, = struct.unpack('!H', packet[at + 1:at + 3])
        self.name, self.body = '.'.join(labels), packet[12:at + 5]


def answer(question, addresses, ttl=60, rcode=0, identity=None, truncated=False, body=None):
    kind = question.kind
    records = [record(kind, ipaddress.ip_address(a).packed, ttl) for a in addresses]
    flags = 0x8580 | rcode | (0x0200 if truncated else 0)
    return struct.pack('!HHHHHH', question.id if identity is None else identity, flags, 1,
                       len(records), 0, 0) + (body or question.body) + b''.join(records)


class NameServer:
    """Answers by its zone; `before` (a function of the question) gives packets that are sent
    ahead of each answer."""

    def __init__(self, zone=None, ttl=60, host='127.0.0.1'):
        self.zone, self.ttl, self.asked, self.before = zone or {}, ttl, [], lambda q: []
        self.rcode = None
        self.tcp = socket.socket()
        self.tcp.bind((host, 0))
        self.port = self.tcp.getsockname()[1]
        self.tcp.listen(16)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.udp.bind((host, self.port))
        self.tcp_asked = 0
        self.address = f'{host}:{self.port}'
        for story in (self.datagrams, self.streams):
            threading.Thread(target=story, daemon=True).start()

    def give(self, name, *addresses):
        """From now on the name has these."""
        for kind, version in ((A, 4), (AAAA, 6)):
            self.zone[name, kind] = [a for a in addresses
                                     if ipaddress.ip_address(a).version == version]

    def take(self, name):
        """From now on there is no such name."""
        for kind in (A, AAAA):
            self.zone.pop((name, kind), None)

    def replies(self, packet, room):
        q = Question(packet)
        self.asked.append((q.name, q.kind))
        found = self.zone.get((q.name, q.kind), [])
        there = any(name == q.name for name, _ in self.zone)
        if found is None:
            return []
        whole = answer(q, found, self.ttl, self.rcode or (0 if there else 3))
        if len(whole) > room:
            whole = answer(q, [], truncated=True)
        return [*self.before(q), whole]

    def datagrams(self):
        while True:
            try:
                packet, who = self.udp.recvfrom(4096)
                if not packet:
                    return
                for reply in self.replies(packet, 512):
                    self.udp.sendto(reply, who)
            except OSError:
                return

    def streams(self):
        while True:
            try:
                conn = self.tcp.accept()[0]
            except OSError:
                return
            with conn:
                conn.settimeout(DEADLINE)
                try:
                    head = conn.recv(2, socket.MSG_WAITALL)
                    while len(head) == 2:
                        self.tcp_asked += 1
                        packet = conn.recv(struct.unpack('!H', head)[0], socket.MSG_WAITALL)
                        for reply in self.replies(packet, 65535):
                            conn.sendall(struct.pack('!H', len(reply)) + reply)
                        head = conn.recv(2, socket.MSG_WAITALL)
                except OSError:
                    pass

    def awaits(self, n, name):
        """Waits until the name was asked for n times, by both families together."""
        await_until(lambda: sum(asked == name for asked, _ in self.asked) >= n,
                    f'{n} questions for {name}')

    def close(self):
        for sock in (self.udp, self.tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
