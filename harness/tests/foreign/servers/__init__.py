"""The table of servers: one row a server, plain data. To add one, write its row beside its kin and name it in `SERVERS` there."""
from __future__ import annotations

from servers import classic, store, talk, web

SERVERS = (*web.SERVERS, *talk.SERVERS, *store.SERVERS, *classic.SERVERS)
