-- Where several daemons share the books: the one that sends a text, by the number of its start. What it leaves when it dies, another one takes over.

ALTER TABLE outbox_sms ADD COLUMN owner INT8 NOT NULL DEFAULT 0;
