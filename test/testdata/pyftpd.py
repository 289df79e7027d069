"""An FTP server of pyftpdlib that tells who its connections belong to.

pyftpd.py ADDRESS PORT ROOT USER PASSWORD [report]

With "report" it prints one line of JSON for each connection, control and data,
with the process that owns the other end. The look-up happens while the connection
is open, and finds any process of this machine when it runs as root.
"""
import glob
import json
import os
import socket
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler
from pyftpdlib.servers import MultiprocessFTPServer


def hexaddr(addr):
    """An IPv4 address and port as in /proc/net/tcp."""
    return "%08X:%04X" % (int.from_bytes(socket.inet_aton(addr[0]), sys.byteorder), addr[1])


def socket_row(there, here):
    """State and inode of the socket at there that is connected to here."""
    for table in "/proc/net/tcp", "/proc/net/tcp6":
        for row in open(table).readlines()[1:]:
            fields = row.split()
            # a dual-stack socket shows the same address behind a prefix
            if fields[1][-13:] == there and fields[2][-13:] == here:
                return fields[3], fields[9]
    return "", "0"


def owner(sock):
    """The id and name of the process at the other end of a connection of this machine."""
    there, here = hexaddr(sock.getpeername()), hexaddr(sock.getsockname())
    while True:
        state, inode = socket_row(there, here)
        # ESTABLISHED and CLOSE_WAIT without an inode: about to be accepted
        if inode == "0" and state not in ("01", "08"):
            return 0, ""  # closed, or not from this machine
        for fd in glob.glob("/proc/[0-9]*/fd/*"):
            try:
                if os.readlink(fd) == "socket:[%s]" % inode:
                    pid = int(fd.split("/")[2])
                    return pid, open("/proc/%d/comm" % pid).read().strip()
            except OSError:
                pass  # closed meanwhile


def report(kind, sock):
    pid, program = owner(sock)
    line = json.dumps({"kind": kind, "addr": "%s:%d" % sock.getpeername()[:2], "pid": pid, "program": program})
    os.write(1, line.encode() + b"\n")  # one write: sessions are processes of their own


class ReportingDataHandler(DTPHandler):
    def __init__(self, sock, cmd_channel):
        report("data", sock)
        super().__init__(sock, cmd_channel)


class Handler(FTPHandler):
    reports = sys.argv[6:] == ["report"]
    dtp_handler = ReportingDataHandler if reports else DTPHandler

    def on_connect(self):
        # on an address that others can reach, this machine alone is served
        if self.remote_ip not in ("127.0.0.1", self.socket.getsockname()[0]):
            self.close()
        elif self.reports:
            report("control", self.socket)


def main():
    address, port, root, user, password = sys.argv[1:6]
    Handler.authorizer = DummyAuthorizer()
    Handler.authorizer.add_user(user, password, root, perm="elradfmwMT")
    Handler.authorizer.add_anonymous(root)
    Handler.use_sendfile = False
    server = MultiprocessFTPServer((address, int(port)), Handler)
    server.max_cons = server.max_cons_per_ip = 0
    server.serve_forever()


main()
