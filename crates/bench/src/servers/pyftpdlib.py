"""pyftpdlib as the benchmark runs it: one account, one process, one event loop."""

import logging
import os

from pyftpdlib import handlers, servers
from pyftpdlib.authorizers import DummyAuthorizer

HOUR = 3600

wish = os.environ
logging.basicConfig(level=logging.ERROR)

authorizer = DummyAuthorizer()
authorizer.add_user(
    wish["BENCH_USER"], wish["BENCH_PASSWORD"], wish["BENCH_ROOT"], perm="elradfmwMT"
)

handler = handlers.FTPHandler
if "BENCH_CERTIFICATE" in wish:
    handler = handlers.TLS_FTPHandler
    handler.certfile = wish["BENCH_CERTIFICATE"]
    handler.keyfile = wish["BENCH_KEY"]
handler.authorizer = authorizer
handler.timeout = HOUR
first, last = map(int, wish["BENCH_PASSIVE"].split("-"))
handler.passive_ports = range(first, last + 1)

server = servers.FTPServer(("127.0.0.1", int(wish["BENCH_PORT"])), handler, backlog=1024)
server.max_cons = 100_000
server.max_cons_per_ip = 0
server.serve_forever()
