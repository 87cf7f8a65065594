-- The whole audience of a broadcast, written once and read when it changes; what is shown of it stays in its document.

create table audiences (
    broadcast text not null primary key,
    doc       text not null
);

-- What is known of a batch's ids beyond themselves: names, lines of a file, people behind a department.
alter table batches add column labels text not null default '{}';
