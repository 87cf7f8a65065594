-- The whole audience of a broadcast, written once and read when it changes; what is shown of it stays in its document.

create table audiences (
    broadcast text not null primary key,
    doc       text not null
);

-- What is known of a batch's ids beyond themselves: names, lines of a file, people behind a department.
alter table batches add column labels text not null default '{}';

-- Questions about delivery keep a pace of their own.
create table pace_rings (
    ring  text   not null primary key check (ring in ('batches', 'talk', 'polls', 'look-ups')),
    calls bigint not null
);
insert into pace_rings (ring, calls) select ring, calls from pace_count;
insert into pace_rings (ring, calls) values ('polls', 0), ('look-ups', 0);
drop table pace_count;
alter table pace_rings rename to pace_count;

-- Small things that a press asks for and that take a call. `not_before` of a taken one is the end of its lease.
create table errands (
    id         text   not null primary key,
    errand     text   not null check (errand in ('sample', 'repair')),
    broadcast  text   not null,
    person     text   not null,
    state      text   not null check (state in ('new', 'taken', 'done')),
    attempts   bigint not null,
    not_before bigint not null,
    created_at bigint not null
);
create index errands_open on errands (not_before) where state <> 'done';
create index errands_of on errands (broadcast, person);
create index errands_age on errands (created_at);
