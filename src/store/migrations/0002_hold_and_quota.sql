-- What keeps sending right after the bot was away, and within the platform's day.

-- A broadcast on hold waits for its author: nothing of it leaves. Why and since when is in the document.
alter table broadcasts add column held bigint not null default 0 check (held in (0, 1));

-- People behind a batch as far as known, and what is booked for it on which day of the platform.
alter table batches add column heads bigint not null default 0 check (heads >= 0);
alter table batches add column booked bigint not null default 0 check (booked >= 0);
alter table batches add column booked_on bigint;

-- Messages booked on each day of the platform, counted in days from 1970.
create table quota (
    day    bigint not null primary key,
    booked bigint not null check (booked >= 0)
);

-- One row. When any replica was last at work on this database, and where the database lived then: whoever finds another
-- place or a long silence asks before anything leaves.
create table life (
    id       bigint not null primary key check (id = 1),
    alive_at bigint not null,
    home     text   not null
);
insert into life (id, alive_at, home) values (1, 0, '');
