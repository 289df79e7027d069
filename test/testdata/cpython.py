"""Runs CPython's own tests of ftplib with a tunnel between client and server.

cpython.py PORT4 PORT6 [EXCLUDED ...]

The tests start a server of their own each. Here it listens on PORT4 of 127.0.0.1
or on PORT6 of ::1, and the clients are told that it is at the tunnels that lead
there. Their addresses come on standard input, IPv4 first, as words of a line.
EXCLUDED is a test or a class of them, as TestFTPClass.test_pwd.

It prints "ready" when the tunnels may be started, then a line of JSON for each
test, and at last one with what came to the servers.
"""
import codecs
import json
import socket
import sys
import traceback
import unittest

try:
    from test import test_ftplib
except ImportError as e:
    sys.exit("%s: run `test/setup.sh` from the top folder, which installs Python's own tests" % e)

SERVERS = {"127.0.0.1": int(sys.argv[1]), "::1": int(sys.argv[2])}
FAMILIES = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}
EXCLUDED = sys.argv[3:]
TUNNELS = {}
came = {"sessions": 0, "data": 0}  # connections to the servers


def tell(**what):
    print(json.dumps(what), flush=True)


def greet():
    """Lets the tunnels start, each of which looks at its FTP server first."""
    listeners = [socket.create_server(a, family=FAMILIES[a[0]]) for a in SERVERS.items()]
    print("ready", flush=True)
    for listener in listeners:
        conn = listener.accept()[0]
        conn.sendall(b"220 ready\r\n")
        while conn.recv(1024):
            pass
        conn.close()
        listener.close()
    for host, address in zip(SERVERS, sys.stdin.readline().split()):
        TUNNELS[host] = int(address.rpartition(":")[2])


def bind(self, address):
    self.set_reuse_addr()
    host = next(h for h in SERVERS if FAMILIES[h] == self.socket.family)
    dispatcher_bind(self, (host, SERVERS[host]))


def server_init(self, *args, **kwargs):
    dummy_init(self, *args, **kwargs)
    self.port = TUNNELS[self.host]


def handler_init(self, *args, **kwargs):
    came["sessions"] += 1
    session_init(self, *args, **kwargs)


def dtp_init(self, *args, **kwargs):
    came["data"] += 1
    data_init(self, *args, **kwargs)
    self.decoder = codecs.getincrementaldecoder(self.encoding)("replace")


def dtp_read(self):
    """Mends the server of Python 3.11.2, which takes a character for two when it arrives in two parts."""
    if isinstance(self.baseclass.last_received_data, str):
        self.baseclass.last_received_data += self.decoder.decode(self.recv(1024))
    else:
        data_read(self)


Server, Session, Data = test_ftplib.DummyFTPServer, test_ftplib.DummyFTPHandler, test_ftplib.DummyDTPHandler
dispatcher_bind, dummy_init, session_init = Server.bind, Server.__init__, Session.__init__
data_init, data_read = Data.__init__, Data.handle_read
Server.bind, Server.__init__, Session.__init__ = bind, server_init, handler_init
Data.__init__, Data.handle_read = dtp_init, dtp_read


def name_of(test):
    return test.id().removeprefix("test.test_ftplib.")


def excluded_by(name):
    """The entry of EXCLUDED that name falls under, or None."""
    return next((x for x in EXCLUDED if name == x or name.startswith(x + ".")), None)


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


class Result(unittest.TestResult):
    """Prints each test as it ends, with what went wrong in it."""

    trouble = ""

    def startTest(self, test):
        super().startTest(test)
        self.trouble = ""

    def stopTest(self, test):
        super().stopTest(test)
        tell(test=name_of(test), trouble=self.trouble)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.trouble += "".join(traceback.format_exception(*err))

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err:
            self.addFailure(test, err)

    def addSkip(self, test, reason):
        self.trouble += "skipped: " + reason


def main():
    greet()
    run = unittest.TestSuite()
    for test in flatten(unittest.defaultTestLoader.loadTestsFromModule(test_ftplib)):
        by = excluded_by(name_of(test))
        if by:
            tell(test=name_of(test), excluded=by)
        else:
            run.addTest(test)
    result = Result()
    run.run(result)
    tell(**came)
    sys.exit("".join(text for _, text in result.errors + result.failures) or None)


main()
