"""The payment site: `/pay`, small pages in two languages, open to everybody (PAY-2…4, 10, 11)."""
