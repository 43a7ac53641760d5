"""Several hosts as the document prints them, in network namespaces, under a few faults."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.faults import network, walkthrough
from tests import stack as stacks

pytestmark = pytest.mark.xdist_group("stack")


def test_the_document_names_programs_and_addresses_of_each_host() -> None:
    printed = walkthrough.Walkthrough.read()

    addresses = printed.addresses()
    assert {*walkthrough.WEB_HOSTS, *walkthrough.NODE_HOSTS, "db", "redis", "lb"} == set(addresses)
    assert set(printed.programs("web1")) == {"web", "sweeps"}
    assert set(printed.programs("node2")) == {"worker", "delivery", "beat"}
    for web in walkthrough.WEB_HOSTS:
        assert f"server {web} {addresses[web]}:8030" in printed.block("5. Load balancer")


def test_hosts_that_are_cut_off_and_switched_off_break_no_promise() -> None:
    if lacking := walkthrough.missing():
        pytest.skip(f"Not installed: {', '.join(lacking)}.")
    if not network.is_possible():
        pytest.skip("Network namespaces need root.")

    done = subprocess.run(
        [sys.executable, "-m", "bench.faults.chaos", "--hosts", "3", "--seed", "5"],
        cwd=stacks.ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 faults, 0 violations" in done.stdout
