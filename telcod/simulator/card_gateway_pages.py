"""The simulated gateway's own pages, in Vietnamese and English.  Pure: values in, HTML out.

One style sheet of its own, no script, nothing from elsewhere; usable by keyboard, by ear and on a
phone.  A typed card number is never written back into a page.
"""

from collections.abc import Mapping
from html import escape
from typing import Final

from telcod.simulator.card_gateway_book import OTP_TRIES, Held, Stage
from telcod.simulator.card_gateway_cards import BANKS

LANGUAGES: Final = ("vi", "en")

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "vi": {
        "title": "Thanh toán bằng thẻ",
        "simulated": "Cổng thanh toán mô phỏng: không có tiền thật.",
        "amount": "Số tiền",
        "order": "Mã giao dịch",
        "number": "Số thẻ",
        "expiry": "Hết hạn (MM/YY)",
        "cvv": "Mã bảo mật (CVV)",
        "bank": "Ngân hàng",
        "choose": "Chọn ngân hàng",
        "holder": "Tên in trên thẻ",
        "otp": "Mật khẩu một lần (OTP)",
        "otp_sent": "Ngân hàng đã gửi OTP đến điện thoại của chủ thẻ.",
        "pay": "Thanh toán",
        "confirm": "Xác nhận",
        "cancel": "Quay lại, không thanh toán",
        "back": "Về trang trước",
        "other": "English",
        "bad_number": "Số thẻ không đúng. Hãy kiểm tra lại.",
        "bad_expiry": "Ngày hết hạn phải có dạng MM/YY.",
        "bad_cvv": "Mã bảo mật gồm 3 hoặc 4 chữ số.",
        "bad_bank": "Hãy chọn ngân hàng.",
        "bad_holder": "Hãy nhập tên in trên thẻ.",
        "bad_otp": "OTP không đúng. Số lần còn lại:",
        "ended": "Giao dịch đã kết thúc.",
        "gone": "Không có giao dịch này.",
    },
    "en": {
        "title": "Pay by card",
        "simulated": "A simulated payment gateway: no real money.",
        "amount": "Amount",
        "order": "Payment",
        "number": "Card number",
        "expiry": "Expiry (MM/YY)",
        "cvv": "Security code (CVV)",
        "bank": "Bank",
        "choose": "Choose a bank",
        "holder": "Name on the card",
        "otp": "One-time password (OTP)",
        "otp_sent": "The bank has sent it to the card holder's phone.",
        "pay": "Pay",
        "confirm": "Confirm",
        "cancel": "Go back without paying",
        "back": "Back to where you came from",
        "other": "Tiếng Việt",
        "bad_number": "This is not a card number. Please check it.",
        "bad_expiry": "The expiry must look like MM/YY.",
        "bad_cvv": "The security code has 3 or 4 digits.",
        "bad_bank": "Please choose a bank.",
        "bad_holder": "Please type the name on the card.",
        "bad_otp": "This is not the password. Tries left:",
        "ended": "This payment is over.",
        "gone": "There is no such payment.",
    },
}

STYLE: Final = """\
*{box-sizing:border-box}
body{font:1rem/1.5 system-ui,sans-serif;margin:0;background:#f3f4f6;color:#111827}
main{max-width:28rem;margin:0 auto;padding:1rem}
.sheet{background:#fff;border:1px solid #d1d5db;border-radius:.75rem;padding:1.25rem}
header{display:flex;justify-content:space-between;align-items:baseline;gap:1rem}
h1{font-size:1.25rem;margin:0 0 .5rem}
.note{background:#fef3c7;color:#78350f;border-radius:.5rem;padding:.5rem .75rem;margin:0 0 1rem}
.wrong{background:#fee2e2;color:#7f1d1d;border-radius:.5rem;padding:.5rem .75rem;margin:1rem 0 0}
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:0}
dd{margin:0;text-align:right;font-weight:600;overflow-wrap:anywhere}
label{display:block;margin:1rem 0 .25rem;font-weight:600}
input,select,button{font:inherit;width:100%;min-height:2.75rem;padding:.5rem .75rem;
border:1px solid #6b7280;border-radius:.5rem;background:#fff;color:inherit}
button{margin-top:1.25rem;background:#1d4ed8;border-color:#1d4ed8;color:#fff;font-weight:600}
button.quiet{margin-top:.75rem;background:#fff;color:#1d4ed8}
a{color:#1d4ed8}
:focus-visible{outline:3px solid #f59e0b;outline-offset:2px}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem;align-items:end}
@media (max-width:20rem){.pair{grid-template-columns:1fr}}
"""


def card_page(held: Held, language: str, problem: str = "") -> str:
    """Where the card is typed; `problem` is the key of what was wrong with it."""
    fields = _domestic(language) if held.card == "domestic" else _international(language)
    word = WORDS[language]
    form = (
        f'<form method="post" action="/pay/{escape(held.ref)}?lang={language}" autocomplete="on">'
        f"{fields}<button>{word['pay']}</button></form>"
    )
    return _page(held, language, _wrong(word.get(problem, "")) + form + _cancel(held, language))


def otp_page(held: Held, language: str) -> str:
    """Where the one-time password is typed."""
    word = WORDS[language]
    wrong = f"{word['bad_otp']} {OTP_TRIES - held.otp_wrong}." if held.otp_wrong else ""
    form = (
        f'<form method="post" action="/pay/{escape(held.ref)}/otp?lang={language}">'
        f"<p>{word['otp_sent']}</p>"
        + _input("otp", word["otp"], "one-time-code", numeric=True, chars_max=8)
        + f"<button>{word['confirm']}</button></form>"
    )
    return _page(held, language, _wrong(wrong) + form + _cancel(held, language))


def ended_page(held: Held, language: str) -> str:
    """When there is nothing more to do here."""
    word = WORDS[language]
    back = f'<p><a href="{escape(held.return_url)}">{word["back"]}</a></p>'
    return _page(held, language, f"<p>{word['ended']}</p>{back}")


def gone_page(language: str) -> str:
    """When there is no such payment."""
    return _document(language, "", f"<p>{WORDS[language]['gone']}</p>")


def page_of(held: Held, language: str) -> str:
    """The page on which a payment is now."""
    if held.stage is Stage.OPEN:
        return card_page(held, language)
    return otp_page(held, language) if held.stage is Stage.OTP else ended_page(held, language)


def _page(held: Held, language: str, content: str) -> str:
    word = WORDS[language]
    amount = f"{held.amount_vnd:,}".replace(",", ".") + " ₫"
    summary = (
        f"<dl><dt>{word['amount']}</dt><dd>{amount}</dd>"
        f"<dt>{word['order']}</dt><dd>{escape(held.payment_id)}</dd></dl>"
    )
    return _document(language, f"/pay/{escape(held.ref)}", summary + content)


def _document(language: str, path: str, content: str) -> str:
    word = WORDS[language]
    other = next(each for each in LANGUAGES if each != language)
    switch = (
        f'<a href="{path}?lang={other}" hreflang="{other}" lang="{other}">{word["other"]}</a>'
        if path
        else ""
    )
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{word['title']}</title>"
        '<link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css"></head>'
        f"<body><main><header><h1>{word['title']}</h1>{switch}</header>"
        f'<p class="note">{word["simulated"]}</p><div class="sheet">{content}</div>'
        "</main></body></html>"
    )


def _international(language: str) -> str:
    word = WORDS[language]
    return (
        _input("number", word["number"], "cc-number", numeric=True, chars_max=23)
        + '<div class="pair"><div>'
        + _input("expiry", word["expiry"], "cc-exp", chars_max=5)
        + "</div><div>"
        + _input("cvv", word["cvv"], "cc-csc", numeric=True, chars_max=4)
        + "</div></div>"
    )


def _domestic(language: str) -> str:
    word = WORDS[language]
    options = "".join(f'<option value="{bank.code}">{bank.name}</option>' for bank in BANKS)
    return (
        f'<label for="bank">{word["bank"]}</label><select id="bank" name="bank" required>'
        f'<option value="">{word["choose"]}</option>{options}</select>'
        + _input("number", word["number"], "cc-number", numeric=True, chars_max=23)
        + _input("holder", word["holder"], "cc-name", chars_max=60)
    )


def _input(
    name: str, label: str, autocomplete: str, *, numeric: bool = False, chars_max: int
) -> str:
    mode = ' inputmode="numeric"' if numeric else ""
    return (
        f'<label for="{name}">{label}</label><input id="{name}" name="{name}" required'
        f' maxlength="{chars_max}" autocomplete="{autocomplete}"{mode}>'
    )


def _cancel(held: Held, language: str) -> str:
    return (
        f'<form method="post" action="/pay/{escape(held.ref)}/cancel?lang={language}">'
        f'<button class="quiet">{WORDS[language]["cancel"]}</button></form>'
    )


def _wrong(text: str) -> str:
    return f'<p class="wrong" role="alert">{text}</p>' if text else ""
