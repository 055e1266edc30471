# SPDX-License-Identifier: BSD-2-Clause
"""Forged packets, bounded: each from another source that is not there. Nothing but packet sockets of
the lab's own client, so that it runs on every kernel."""
import socket
import struct
import threading

FORGED4, FORGED6 = 0x64400000, 0x64  # 100.64.0.0/10; 64::/96
SPORT = 4000


def _sum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def _fold(total):
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff


# What clients' SYNs offer: MSS, SACK, a timestamp, window scaling.
OPTIONS = bytes.fromhex('020405b4 0402080a0000000100000000 01030307'.replace(' ', ''))
FLAGS = {'S': 0x02, 'A': 0x10}


class Forger:
    """Frames from the client to a VIP. Only the source and the checksums differ between them."""

    def __init__(self, lab, to, port=80, flags='S'):
        self.v6 = ':' in to
        options = OPTIONS if flags == 'S' else b''
        tcp = struct.pack('!HHIIBBHHH', SPORT, port, 7, 7, (20 + len(options)) // 4 << 4,
                          FLAGS[flags], 64240, 0, 0) + options
        dest = socket.inet_pton(socket.AF_INET6 if self.v6 else socket.AF_INET, to)
        macs = bytes.fromhex((lab.balancer.mac + lab.client.mac).replace(':', ''))
        if self.v6:
            ip = struct.pack('!IHBB', 6 << 28, len(tcp), 6, 64) + bytes(16) + dest
            frame = macs + b'\x86\xdd' + ip + tcp
            self.source, self.check = 14 + 20, 14 + 40 + 16
        else:
            ip = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + \
                bytes(4) + dest
            frame = macs + b'\x08\x00' + ip + tcp
            self.source, self.check = 14 + 12, 14 + 20 + 16
        self.frame = bytearray(frame)
        self.ip_sum, self.tcp_sum = _sum(ip), _sum(dest + tcp) + 6 + len(tcp)
        if self.v6:
            self.frame[14 + 8:14 + 12] = struct.pack('!I', FORGED6 << 16)
            self.tcp_sum += FORGED6

    def frames(self, count, first=0):
        """The same frame, changed in place."""
        frame, pack = self.frame, struct.pack_into
        for n in range(first, first + count):
            source = n if self.v6 else FORGED4 + n
            halves = (source >> 16) + (source & 0xffff)
            pack('!I', frame, self.source, source)
            pack('!H', frame, self.check, _fold(self.tcp_sum + halves))
            if not self.v6:
                pack('!H', frame, 14 + 10, _fold(self.ip_sum + halves))
            yield frame


class Flood:
    """`with Flood(lab, vip, 1000) as f:` it runs beside the test; f.sent, f.done()."""

    def __init__(self, lab, to, count, port=80, flags='S', first=0):
        self.forger = Forger(lab, to, port, flags)
        self.wire, self.count, self.first = lab.client.wire(), count, first
        self.sent, self.failure = 0, None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            for frame in self.forger.frames(self.count, self.first):
                if self.stopped.is_set():
                    break
                self.wire.socket.send(frame)
                self.sent += 1
        except OSError as e:
            self.failure = e

    def __enter__(self):
        self.thread.start()
        return self

    def done(self):
        return not self.thread.is_alive()

    def join(self):
        """To its end."""
        self.thread.join()
        assert self.failure is None, self.failure
        assert self.sent == self.count

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        self.wire.socket.close()
