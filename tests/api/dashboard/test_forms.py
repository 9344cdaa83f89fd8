"""Forms: every value a bounded text, whatever a browser or somebody else sends."""

from __future__ import annotations

import pytest
from quart import Response, request
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse

from api.body import BoundedRequest
from api.dashboard.forms import Form, chosen, read_form
from api.errors import BodyTooLarge, FieldInvalid

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def sent(body: bytes, headers: dict[str, str] = FORM) -> Form | Exception:
    app = QuartTrio("forms", static_folder=None)
    app.request_class = BoundedRequest
    app.config["MAX_CONTENT_LENGTH"] = 2048
    got: list[Form | Exception] = []

    @app.post("/")
    async def take() -> Response:
        try:
            got.append(await read_form(request))
        except Exception as error:
            got.append(error)
        return TrioResponse(b"")

    await app.test_client().post("/", data=body, headers=headers)
    return got[0]


async def test_a_form_is_read_as_its_fields() -> None:
    form = await sent(b"name=+A%20%C3%84+&events=a&events=b&empty=")
    assert isinstance(form, Form)
    assert form.text("name", longest=10) == "A Ä"
    assert form.raw("name") == " A Ä "
    assert form.several("events") == ("a", "b")
    assert form.text("empty", longest=1) == form.text("absent", longest=1) == ""
    assert form.typed(("name", "absent"), longest=3) == {"name": " A ", "absent": ""}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"name=%ff", FORM),
        (b"name=\xc3\xa4", FORM),
        (b"&".join([b"a=1"] * 65), FORM),
        (b'{"name": 1}', {"Content-Type": "application/json"}),
        (b"name=1", {"Content-Type": "text/plain"}),
    ],
)
async def test_what_is_no_form_is_refused(body: bytes, headers: dict[str, str]) -> None:
    assert isinstance(await sent(body, headers), FieldInvalid)


async def test_a_form_that_is_too_large_is_refused() -> None:
    assert isinstance(await sent(b"name=" + b"a" * 4096), BodyTooLarge)


@pytest.mark.parametrize("value", ["a" * 11, "a\0b"])
def test_a_field_that_is_too_long_or_has_a_nul_is_refused_by_its_name(value: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        Form([("name", value)]).text("name", longest=10)
    assert caught.value.name == "name"


def test_a_choice_that_is_none_is_shown_as_the_first() -> None:
    assert chosen("b", ("a", "b")) == "b"
    assert chosen("<script>", ("a", "b")) == "a"
