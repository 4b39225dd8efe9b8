"""`[epay]`: the gateway's address and secrets, each of which may come from elsewhere."""

import pytest

from telcod.settings import Secret, SettingsError, load
from tests.epay.world import OTHER_SECRET

pytestmark = pytest.mark.rule("CFG-1", "PAYAPI-2")

GOOD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TABLE = {
    "gateway_url": '"https://gateway.example/api"',
    "gateway_secret": '"s3cret"',
    "webhook_secrets": f'["{GOOD}"]',
    "site_url": '"https://pay.example"',
}


def settings(folder, environ=None, **changes):
    lines = [f"{name} = {value}" for name, value in (TABLE | changes).items() if value]
    path = folder / "telcod.toml"
    path.write_text("\n".join(["[epay]", *lines]), encoding="utf-8")
    return load(path, environ or {}).epay


def complaints(folder, environ=None, **changes):
    with pytest.raises(SettingsError) as found:
        settings(folder, environ, **changes)
    return [(problem.key, problem.reason) for problem in found.value.problems]


def test_without_the_table_there_is_no_gateway():
    assert load(None, {}).epay is None


def test_what_is_left_out_has_a_default(tmp_path):
    epay = settings(tmp_path)
    assert epay.webhook_secrets == (Secret(GOOD),)
    assert (epay.connect_s, epay.answer_s) == (5.0, 10.0)
    assert "s3cret" not in repr(epay)
    assert GOOD not in repr(epay)


def test_secrets_come_from_files_and_variables_several_while_one_is_rotated(tmp_path):
    (tmp_path / "new.secret").write_text(OTHER_SECRET + "\n", encoding="utf-8")
    epay = settings(
        tmp_path,
        {"OLD": GOOD},
        webhook_secrets='[{ file = "new.secret" }, { env = "OLD" }]',
        gateway_secret='{ env = "OLD" }',
    )
    assert epay.webhook_secrets == (Secret(OTHER_SECRET), Secret(GOOD))
    assert epay.gateway_secret == Secret(GOOD)


def test_a_variable_overrides_one_of_the_secrets_or_all(tmp_path):
    environ = {"TELCOD_EPAY__WEBHOOK_SECRETS__0": OTHER_SECRET}
    assert settings(tmp_path, environ).webhook_secrets == (Secret(OTHER_SECRET),)
    environ = {"TELCOD_EPAY__WEBHOOK_SECRETS": f"{GOOD},{OTHER_SECRET}"}
    assert settings(tmp_path, environ).webhook_secrets == (Secret(GOOD), Secret(OTHER_SECRET))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"gateway_url": ""}, "epay.gateway_url"),
        ({"gateway_secret": ""}, "epay.gateway_secret"),
        ({"gateway_secret": '""'}, "epay.gateway_secret"),
        ({"webhook_secrets": ""}, "epay.webhook_secrets"),
        ({"webhook_secrets": "[]"}, "epay.webhook_secrets"),
        ({"webhook_secrets": f'"{GOOD}"'}, "epay.webhook_secrets"),
        ({"webhook_secrets": "[7]"}, "epay.webhook_secrets[0]"),
        ({"webhook_secrets": '[{ env = "NOWHERE" }]'}, "epay.webhook_secrets[0]"),
        ({"webhook_secrets": '["whsec_short"]'}, "epay"),
        ({"webhook_secrets": "[" + ", ".join([f'"{GOOD}"'] * 9) + "]"}, "epay"),
        ({"gateway_url": '"gateway.example"'}, "epay"),
        ({"gateway_url": '"ftp://gateway.example"'}, "epay"),
        ({"site_url": '"https://user:pass@pay.example"'}, "epay"),
        ({"answer_s": "0"}, "epay.answer_s"),
        ({"notifications_per_s": "0"}, "epay.notifications_per_s"),
        ({"gatway_url": '"https://x.example"'}, "epay.gatway_url"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_told(tmp_path, changes, key):
    found = complaints(tmp_path, **changes)
    assert [where for where, _ in found] == [key]
    assert GOOD not in str(found)
