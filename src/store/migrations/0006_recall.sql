-- Taking back what was sent, and how many had read it when.

-- That a batch was asked back and what came of it, as a document; null where nobody wants it back.
alter table batches add column recall text;
-- When the call is to be made; null when none is. Taking it moves this to the end of a lease and raises `recall_tries`,
-- which tells one try from the next.
alter table batches add column recall_at bigint;
alter table batches add column recall_tries bigint not null default 0;
create index batches_recall on batches (recall_at) where recall_at is not null;

-- When an answer about delivery last brought something new.
alter table batches add column changed_at bigint;

-- The curve of a broadcast: what was known at some moments, over all its batches. Few rows a broadcast, thinned as they
-- are written.
create table reads (
    broadcast text   not null references broadcasts (id),
    at        bigint not null,
    reached   bigint not null,
    read_by   bigint not null,
    primary key (broadcast, at)
);
