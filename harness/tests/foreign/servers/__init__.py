"""The table of servers: one row a server, plain data. A new row stands beside its kin and is named in `SERVERS` there."""
from __future__ import annotations

from servers import classic, store, talk, web

SERVERS = (*web.SERVERS, *talk.SERVERS, *store.SERVERS, *classic.SERVERS)
