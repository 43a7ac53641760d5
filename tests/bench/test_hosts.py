"""The document on several hosts, as the campaign in network namespaces reads it (``make chaos``)."""

from __future__ import annotations

from bench.faults import walkthrough


def test_the_document_names_programs_and_addresses_of_each_host() -> None:
    printed = walkthrough.Walkthrough.read()

    addresses = printed.addresses()
    assert {*walkthrough.WEB_HOSTS, *walkthrough.NODE_HOSTS, "db", "redis", "lb"} == set(addresses)
    assert set(printed.programs("web1")) == {"web", "sweeps"}
    assert set(printed.programs("node2")) == {"worker", "delivery", "checks", "beat"}
    for web in walkthrough.WEB_HOSTS:
        assert f"server {web} {addresses[web]}:8030" in printed.block("5. Load balancer")
