-- The whole audience of a broadcast, written once and read when it changes; what is shown of it stays in its document.

create table audiences (
    broadcast text not null primary key,
    doc       text not null
);

-- What is known of a batch's ids beyond themselves: names, lines of a file, people behind a department.
alter table batches add column labels text not null default '{}';

-- Questions about delivery keep a pace of their own.
create table pace_rings (
    ring  text   not null primary key check (ring in ('batches', 'talk', 'polls')),
    calls bigint not null
);
insert into pace_rings (ring, calls) select ring, calls from pace_count;
insert into pace_rings (ring, calls) values ('polls', 0);
drop table pace_count;
alter table pace_rings rename to pace_count;
