"""Labels, and selectors of them: one syntax, the same in Python and in PostgreSQL."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.models import Service
from saga_project.shared import labels
from tests.factories import ServiceFactory

KEYS, VALUES = ["env", "team", "tier"], ["prod", "pay", ""]
LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
SELECTORS = st.lists(
    st.builds(
        lambda key, form, value: form.format(key=key, value=value),
        st.sampled_from(KEYS),
        st.sampled_from(["{key}", "!{key}", "{key}={value}", "{key}=={value}", "{key}!={value}"]),
        st.sampled_from(VALUES),
    ),
    min_size=1,
    max_size=4,
).map(" , ".join)


@pytest.mark.parametrize(
    ("selector", "is_match"),
    [
        ("env=prod", True),
        ("env==prod", True),
        ("env=test", False),
        ("env!=test", True),
        ("env!=prod", False),
        ("team!=pay", True),  # it has no team
        ("env", True),
        ("team", False),
        ("!team", True),
        ("!env", False),
        ("env=prod,!team", True),
        (" env=prod , team ", False),
        ("empty=", True),
        ("env=", False),
    ],
)
def test_selector_picks_by_all_of_its_conditions(selector: str, is_match: bool) -> None:
    assert labels.parse(selector).matches({"env": "prod", "empty": ""}) is is_match


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ",", "env,", "=prod", "env=prod team=pay", "env=a=b", "!env=prod", "env in (a)"),
        *("env=präd", "env=prod\n", "env\x00", "-env", "env=-x", "e" * 64, "a=" + "b" * 64),
        *(",".join(["env"] * 17), "env=" + " " * 2000),
    ],
)
def test_other_texts_are_no_selectors(text: str) -> None:
    with pytest.raises(labels.InvalidSelector):
        labels.parse(text)


def test_reading_a_hostile_text_takes_no_time() -> None:
    began = time.process_time()
    for text in ("a" * 1024, "a." * 512, "a=" + "b-" * 511, "a, " * 341, "!" * 1024):
        labels.SELECTOR.allows(text)

    assert time.process_time() - began < 1


@given(text=SELECTORS, own=LABELS)
def test_normal_form_of_a_selector_picks_the_same(text: str, own: dict[str, str]) -> None:
    selector = labels.parse(text)

    assert labels.parse(str(selector)).matches(own) == selector.matches(own)
    assert re.fullmatch(labels.SELECTOR.schema()["pattern"], text)


@pytest.mark.django_db
def test_postgresql_and_python_pick_the_same_services() -> None:
    carried = [{}, {"env": "prod"}, {"env": ""}, {"env": "test", "team": "pay"}, {"team": "pay"}]
    for number, own in enumerate(carried):
        ServiceFactory(name=f"s{number}", labels=own)

    for text in ("env", "!env", "env=prod", "env!=prod", "env=", "team!=pay,env", "env=test,!tier"):
        selector = labels.parse(text)
        rows = Service.objects.filter(selector.condition()).order_by("name")
        wanted = [own for own in carried if selector.matches(own)]
        assert [row.labels for row in rows] == wanted, text


def test_an_empty_or_broken_stored_selector_selects_nothing() -> None:
    assert not labels.selects("", {"env": "prod"})
    assert not labels.selects("env in (prod)", {"env": "prod"})
    assert labels.selects("env=prod", {"env": "prod"})


@pytest.mark.parametrize(
    "given_labels",
    [
        *(None, [], "env=prod", {"env": 1}, {"env": None}, {"": "x"}, {"env": "a b"}, {"ä": "x"}),
        {f"k{number}": "v" for number in range(labels.MAX_LABELS + 1)},
    ],
)
def test_other_labels_are_refused(given_labels: object) -> None:
    with pytest.raises(labels.InvalidLabels):
        labels.check(given_labels)


@given(own=LABELS)
def test_form_reads_what_it_shows(own: dict[str, str]) -> None:
    assert labels.read_text(labels.show(own)) == json.loads(json.dumps(own))
