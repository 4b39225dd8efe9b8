-- Several daemons may write these books, one batch at a time. Who wrote last, and how many batches there have been: a writer that
-- finds its own name here knows that nothing has changed since.

CREATE TABLE writer (
  id INT8 NOT NULL PRIMARY KEY CHECK (id = 1),
  generation INT8 NOT NULL,
  owner TEXT NOT NULL
) WITH (fillfactor = 50);

INSERT INTO writer (id, generation, owner) VALUES (1, 0, '');

-- The last batch of each writer: when the answer to a COMMIT was lost, it is told by this whether it was done.
CREATE TABLE writer_commit (
  owner TEXT NOT NULL PRIMARY KEY,
  generation INT8 NOT NULL,
  at INT8 NOT NULL
) WITH (fillfactor = 50);
