import pytest
from rest_framework import exceptions, serializers

from saga_project.shared import api, errors

SAGA, SCAICONTROL = "/api/v1/services", "/api/v1/registry/register"


class Gone(errors.NotFound):
    error = "Cursor too old"
    status = 410


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidRequest("x"), 400),
        (errors.NotAuthenticated("x"), 401),
        (errors.NotAllowed("x"), 403),
        (errors.NotFound("x"), 404),
        (errors.Conflict("x"), 409),
        (errors.RedisUnavailable("x"), 503),
        (api.BodyTooLarge("x"), 413),
        (api.NotJson("x"), 415),
        (Gone("x"), 410),
    ],
)
def test_each_kind_has_its_status_and_the_saga_shape(error, status):
    assert api.render(error, SAGA, "id") == (status, {"error": error.error, "message": "x"})


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.NotAuthenticated("x"), 401, "unauthorized"),
        (errors.NotAllowed("x"), 403, "forbidden"),
        (errors.NotFound("x"), 404, "not_found"),
        (errors.Conflict("x"), 409, "conflict"),
        (errors.DatabaseUnavailable("x"), 503, "unavailable"),
        (api.BodyTooLarge("x"), 413, "payload_too_large"),
        (api.NotJson("x"), 415, "unsupported_media_type"),
    ],
)
def test_scaicontrol_errors_have_a_code_and_the_request_id(error, status, code):
    body = {"error": {"code": code, "message": "x", "request_id": "id"}}

    assert api.render(error, SCAICONTROL, "id") == (status, body)


def test_a_wrong_field_is_422_with_its_place_in_scaicontrol():
    status, body = api.render(errors.InvalidRequest("no name", field="slug"), SCAICONTROL, "id")

    assert status == 422
    assert body == {"detail": [{"loc": ["body", "slug"], "msg": "no name", "type": "value_error"}]}


def test_malformed_json_is_422_at_the_body_in_scaicontrol():
    status, body = api.render(api.InvalidJson("no"), SCAICONTROL, "id")

    assert (status, body["detail"][0]["loc"]) == (422, ["body"])


class Shape(serializers.Serializer[object]):
    name = serializers.CharField()
    tags = serializers.ListField(child=serializers.IntegerField())


def test_every_wrong_field_is_reported_with_its_path():
    shape = Shape(data={"tags": [1, "x"]})
    with pytest.raises(exceptions.ValidationError) as caught:
        shape.is_valid(raise_exception=True)

    faults = api.invalid_fields(caught.value).faults

    assert [path for path, _, _ in faults] == [["name"], ["tags", 1]]


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2024-01-15T10:30:00Z", "2024-01-15T10:30:00+00:00"),
        ("2024-01-15T10:30:00.5+02:00", "2024-01-15T08:30:00.500000+00:00"),
        ("2024-01-15T10:30:00", "2024-01-15T10:30:00+00:00"),
    ],
)
def test_times_are_read_as_utc(text, iso):
    moment = api.parse_time(text)

    assert moment is not None
    assert moment.isoformat() == iso


@pytest.mark.parametrize(
    "text",
    ["", "junk", "2024-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9" * 40],
)
def test_what_is_no_time_is_none(text):
    assert api.parse_time(text) is None


@pytest.mark.parametrize("path", ["/api/v1/services", "/admin/", "/api/v1/registry/register"])
def test_a_name_that_is_not_ours_is_reported_with_the_setting_that_lists_them(
    client, settings, path
):
    settings.ALLOWED_HOSTS = ["localhost"]

    answer = client.get(path, headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert "SAGA_ALLOWED_HOSTS" in answer.content.decode()
