"""The configuration, read by a process of its own as an operator would start it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def start(tmp_path, **variables):
    """Import the settings in an empty environment and print one of them."""
    name = variables.pop("print_", "PORT")
    return subprocess.run(
        [sys.executable, "-c", f"from saga_project import settings; print(settings.{name})"],
        cwd=ROOT,
        env={"HOME": str(tmp_path), "SAGA_DATA_DIR": str(tmp_path / "var"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_defaults_need_no_variable(tmp_path):
    assert start(tmp_path).stdout == "8030\n"


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path):
    file = tmp_path / "saga.toml"
    file.write_text(
        'port = 9001\nregistration_ttl = 90\nsaga_internal_services = ["core-*", "a"]\n'
    )
    given = {"SAGA_CONFIG": str(file)}

    assert start(tmp_path, **given).stdout == "9001\n"
    assert start(tmp_path, PORT="9002", **given).stdout == "9002\n"
    internal = start(tmp_path, print_="SAGA_INTERNAL_SERVICES", **given)
    assert internal.stdout == "['core-*', 'a']\n"


def test_the_file_in_the_home_folder_is_found(tmp_path):
    (tmp_path / ".saga").mkdir()
    (tmp_path / ".saga" / "config.toml").write_text("PORT = 9003")

    assert start(tmp_path).stdout == "9003\n"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"PORT": "high"}, "PORT"),
        ({"PORT": "0"}, "PORT"),
        ({"SAGA_AUTH": "maybe"}, "SAGA_AUTH"),
        ({"REGISTRATION_TTL": "4"}, "REGISTRATION_TTL"),
        ({"SAGA_STALE_READS": "-1"}, "SAGA_STALE_READS"),
        ({"SAGA_CORS_ORIGINS": "portal.example.com"}, "SAGA_CORS_ORIGINS"),
        ({"SAGA_CONFIG": "/nowhere/saga.toml"}, "SAGA_CONFIG"),
        ({"SAGA_HTTP_PROXY": "https://me:s3cret@proxy.example:3128"}, "SAGA_HTTP_PROXY"),
        ({"SAGA_HTTP_PROXY": "http://me:s3cret@proxy.example:99999"}, "SAGA_HTTP_PROXY"),
        ({"SAGA_HTTP_PROXY": "http://me:s3cret@proxy.example/path"}, "SAGA_HTTP_PROXY"),
        ({"SAGA_NO_PROXY": "10.0.0.0/99"}, "SAGA_NO_PROXY"),
        ({"SAGA_NO_PROXY": "http://example.com"}, "SAGA_NO_PROXY"),
    ],
)
def test_a_wrong_value_stops_the_start_and_is_named_without_a_traceback(tmp_path, variables, named):
    done = start(tmp_path, **variables)

    assert done.returncode == 1
    assert done.stderr.startswith(named)
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr


def test_all_wrong_values_are_named_at_once(tmp_path):
    done = start(tmp_path, PORT="x", REGISTRATION_TTL="y")

    assert {line.split(":")[0] for line in done.stderr.splitlines()} == {
        "PORT",
        "REGISTRATION_TTL",
    }


def test_a_file_that_is_no_toml_stops_the_start(tmp_path):
    file = tmp_path / "saga.toml"
    file.write_text("port = = 1")

    assert start(tmp_path, SAGA_CONFIG=str(file)).stderr.startswith("SAGA_CONFIG")


@pytest.mark.parametrize(
    ("host", "auth"),
    [
        ("127.0.0.1", "open"),
        ("localhost", "open"),
        ("::1", "open"),
        ("0.0.0.0", "required"),
        ("10.1.2.3", "required"),
        ("saga.example", "required"),
    ],
)
def test_only_a_loopback_address_is_open_by_default(tmp_path, host, auth):
    assert start(tmp_path, HOST=host, print_="SAGA_AUTH").stdout == f"{auth}\n"


@pytest.mark.parametrize(("host", "networks"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_private_networks_may_be_called_from_a_loopback_address_only(tmp_path, host, networks):
    printed = start(tmp_path, HOST=host, print_="SAGA_ALLOWED_NETWORKS").stdout

    assert (printed != "[]\n") is networks


def test_private_networks_that_may_be_called_are_called_without_a_proxy(tmp_path):
    given = {"SAGA_ALLOWED_NETWORKS": "10.0.0.0/8", "print_": "SAGA_NO_PROXY"}

    assert start(tmp_path, **given).stdout == "['10.0.0.0/8']\n"
    assert start(tmp_path, SAGA_NO_PROXY="*.inside", **given).stdout == "['*.inside']\n"


def test_a_former_name_is_read_with_a_warning(tmp_path):
    done = start(tmp_path, print_="SAGA_FAST_PATH", SAGA_LANE="false")

    assert done.stdout == "False\n"
    assert "SAGA_LANE is now called SAGA_FAST_PATH" in done.stderr


def test_the_present_name_wins_over_the_former_one(tmp_path):
    done = start(tmp_path, print_="SAGA_FAST_PATH", SAGA_LANE="false", SAGA_FAST_PATH="true")

    assert done.stdout == "True\n"
