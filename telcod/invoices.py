"""A day's VAT invoices of a centre: as CSV, and as pages to print and post (PAY-11).  Pure.

Prices hold VAT already: of 110,000 đồng at 10 % the tax is 10,000.  Names and addresses are other
people's words: they're escaped in pages, and a cell that a spreadsheet would take for a formula
gets an apostrophe before it.
"""

import csv
import re
from collections.abc import Sequence
from html import escape
from io import StringIO
from typing import Final

from telcod.msisdn import Msisdn, national
from telcod.rows import Invoice
from telcod.text.values import local_time

HEADER: Final = (
    "payment_id",
    "msisdn",
    "name",
    "address",
    "email",
    "purpose",
    "asked_at",
    "amount_vnd",
    "net_vnd",
    "vat_vnd",
)
VAT_PERCENT: Final = 10
"""The rate of telecommunication services; a setting of who exports."""
WHAT: Final = {
    "bill": "Thanh toán cước dịch vụ thông tin di động",
    "topup": "Nạp tiền tài khoản thuê bao trả trước",
}
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def as_cell(value: str | int) -> str | int:
    """What stands in a cell of a CSV file: other people's words are never a formula, nor a row."""
    if not isinstance(value, str):
        return value
    line = _CONTROLS.sub(" ", value)
    return f"'{line}" if value.startswith(_FORMULA) or line.lstrip().startswith(_FORMULA) else line


def net_vnd(amount_vnd: int, vat_percent: int) -> int:
    """What of an amount is no tax, whole đồng, rounded half up.

    >>> net_vnd(110_000, 10), net_vnd(50_000, 10)
    (100000, 45455)
    """
    whole = 100 + vat_percent
    return (amount_vnd * 200 + whole) // (2 * whole)


def as_csv(invoices: Sequence[Invoice], *, vat_percent: int = VAT_PERCENT) -> str:
    """One line an invoice, below `HEADER`; begins with the mark that tells spreadsheets UTF-8."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(HEADER)
    for one in invoices:
        net = net_vnd(one.amount_vnd, vat_percent)
        words = (national(Msisdn(one.msisdn)), one.name, one.address, one.email, one.purpose)
        amounts = (one.amount_vnd, net, one.amount_vnd - net)
        writer.writerow(
            (as_cell(one.payment), *(as_cell(word) for word in words), local_time(one.at), *amounts)
        )
    return "\ufeff" + out.getvalue()


def as_pages(
    invoices: Sequence[Invoice], day: int, centre: int, *, vat_percent: int = VAT_PERCENT
) -> str:
    """An HTML document that prints one invoice a page; it loads nothing from anywhere."""
    shown_day = f"{day % 100:02d}/{day // 100 % 100:02d}/{day // 10_000}"
    pages = "\n".join(_page(one, vat_percent) for one in invoices)
    empty = '<p class="empty">Không có yêu cầu hóa đơn nào.</p>'
    title = f"Hóa đơn GTGT, Trung tâm {centre}, ngày {shown_day}"
    return f"""<!DOCTYPE html>
<html lang="vi">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>{title}</h1><p>{len(invoices)} hóa đơn</p></header>
{pages or empty}
</body>
</html>
"""


_STYLE: Final = """
@page { size: A4; margin: 20mm; }
body { font: 12pt/1.5 "DejaVu Serif", "Times New Roman", serif; color: #000; margin: 2rem auto;
       max-width: 170mm; padding: 0 1rem; }
header { border-bottom: 1px solid #000; margin-bottom: 2rem; }
h1 { font-size: 14pt; margin: 0; }
h2 { font-size: 16pt; text-align: center; text-transform: uppercase; margin: 0 0 .25rem; }
article { border: 1px solid #999; padding: 10mm; margin: 0 0 2rem; }
.code { text-align: center; margin: 0 0 1.5rem; }
address { font-style: normal; margin: 0 0 1.5rem 50%; white-space: pre-line;
          overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: 45mm 1fr; gap: .25rem 1rem; margin: 0 0 1.5rem; }
dt { color: #333; } dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; }
th, td { border: 1px solid #000; padding: 2mm 3mm; text-align: left; }
td.vnd, th.vnd { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tfoot td { font-weight: bold; }
@media print {
  header { display: none; }
  body { margin: 0; padding: 0; max-width: none; }
  article { border: 0; padding: 0; margin: 0; break-after: page; }
  article:last-of-type { break-after: auto; }
}
"""


def _page(one: Invoice, vat_percent: int) -> str:
    net = net_vnd(one.amount_vnd, vat_percent)
    what = escape(WHAT.get(one.purpose, one.purpose))
    return f"""<article>
<h2>Hóa đơn giá trị gia tăng</h2>
<p class="code">Mã giao dịch: {escape(one.payment)}</p>
<address><strong>{escape(one.name)}</strong>
{escape(one.address)}</address>
<dl>
<dt>Số thuê bao</dt><dd>{national(Msisdn(one.msisdn))}</dd>
<dt>Ngày yêu cầu</dt><dd>{local_time(one.at)}</dd>
<dt>Hình thức thanh toán</dt><dd>Thẻ ngân hàng, trực tuyến</dd>
</dl>
<table>
<thead><tr><th>Nội dung</th><th class="vnd">Số tiền (đồng)</th></tr></thead>
<tbody>
<tr><td>{what}</td><td class="vnd">{_dots(net)}</td></tr>
<tr><td>Thuế GTGT {vat_percent} %</td><td class="vnd">{_dots(one.amount_vnd - net)}</td></tr>
</tbody>
<tfoot><tr><td>Tổng cộng</td><td class="vnd">{_dots(one.amount_vnd)}</td></tr></tfoot>
</table>
</article>"""


def _dots(amount_vnd: int) -> str:
    return f"{amount_vnd:,}".replace(",", ".")
