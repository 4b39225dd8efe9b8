"""Which tariff prices a moment, and which files make no book."""

import msgspec
import pytest

from telcod.billing.tariffs import (
    PackageTariff,
    SmsTariff,
    Tariff,
    TariffBook,
    TariffBookError,
    VoiceTariff,
)
from telcod.days import DAY_MS


def tariff(name, valid_from_ms, price_vnd=1_000):
    packages = {"day": PackageTariff(price_vnd, 24)}
    return Tariff(name, valid_from_ms, packages, VoiceTariff(1_500), SmsTariff(250))


OLD, NEW = tariff("old", 100), tariff("new", 200)


@pytest.mark.rule("CFG-2")
@pytest.mark.parametrize(
    ("ms", "expected"), [(0, OLD), (100, OLD), (199, OLD), (200, NEW), (10**15, NEW)]
)
def test_the_newest_tariff_that_is_valid_prices_a_moment(ms, expected):
    assert TariffBook([NEW, OLD]).at(ms) is expected


def test_before_the_first_tariff_the_first_one_prices():
    book = TariffBook([NEW, tariff("newest", 300), OLD])
    assert book.at(99) is OLD
    assert [one.id for one in book.tariffs] == ["newest", "new", "old"]


@pytest.mark.rule("CFG-2")
@pytest.mark.parametrize(
    ("tariffs", "why"),
    [
        ([], "there is no tariff"),
        (
            [OLD, NEW, tariff("old", 300)],
            "two tariffs have the same id among new, old, old",
        ),
        ([OLD, tariff("other", 100)], "two tariffs become valid at the same moment"),
    ],
)
def test_what_is_no_book_is_refused_and_says_why(tariffs, why):
    with pytest.raises(TariffBookError) as refused:
        TariffBook(tariffs)
    assert str(refused.value) == why


def test_a_changed_price_has_another_fingerprint_and_another_order_has_not():
    assert OLD.fingerprint() == tariff("old", 100).fingerprint()
    assert OLD.fingerprint() != tariff("old", 100, price_vnd=1_001).fingerprint()
    day, week = PackageTariff(1_000, 24), PackageTariff(5_000, 168)
    one, other = (
        msgspec.structs.replace(OLD, packages=packages).fingerprint()
        for packages in ({"day": day, "week": week}, {"week": week, "day": day})
    )
    assert one == other


@pytest.mark.rule("PKG-1")
def test_lengths_are_in_hours_and_a_package_costs_something():
    package = PackageTariff(5_000, 168, trial_h=12)
    assert (package.period_ms, package.trial_ms) == (7 * DAY_MS, DAY_MS // 2)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"price_vnd": 0, "period_h": 24}, PackageTariff)


@pytest.mark.rule("PKG-2", "PFM-1", "CFG-2")
def test_what_a_tariff_does_not_say_is_as_the_services_say_and_what_it_may_not_say_is_refused():
    assert PackageTariff(1_000, 24).trial_h == 24
    assert VoiceTariff(1_500).first_block_s == 6
    said = msgspec.to_builtins(OLD)
    assert msgspec.convert(said, Tariff) == OLD
    for part in (said, said["packages"]["day"], said["voice"], said["sms"]):
        part["discount"] = 1
        with pytest.raises(msgspec.ValidationError, match="discount"):
            msgspec.convert(said, Tariff)
        del part["discount"]
