"""Browsers that have the console open: each polls its page's live part as static/saga/console.js does."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.synchronize import Event

import requests

_LIVE = re.compile(r'id="(?P<id>[^"]+)" data-live="(?P<address>[^"]+)" data-every="(?P<every>\d+)"')


def open_browsers(
    url: str, cookies: Mapping[str, str], pages: Sequence[str], count: int, closed: Event
) -> None:
    """Open so many browsers on the pages in turn, until ``closed``; runs in a process of its own."""
    threads = [
        threading.Thread(target=_watch, args=(url + page, cookies, number / count, closed))
        for number, page in zip(range(count), itertools.cycle(pages), strict=False)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _watch(page: str, cookies: Mapping[str, str], share: float, closed: Event) -> None:
    session = requests.Session()
    session.cookies.update(cookies)
    live = _LIVE.search(session.get(page, timeout=60).text)
    if live is None:
        raise SystemExit(f"{page} has no live part.")
    every, digest = float(live["every"]), ""
    closed.wait(share * every)
    while not closed.is_set():
        sent = {"X-Saga-Fragment": live["id"], "X-Saga-Digest": digest}
        answer = session.get(page, headers=sent, timeout=60)
        answer.raise_for_status()
        digest = answer.headers["X-Saga-Digest"]
        closed.wait(every)
