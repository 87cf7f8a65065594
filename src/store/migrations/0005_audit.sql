-- What was decided and what was called, row by row. Nothing here is ever changed or deleted: each row carries a MAC over
-- itself and the MAC of the row before it, so that whatever is changed, removed or put in between by hand is found.

create table audit (
    -- From 1, without a gap: rows are written under the lock of the head.
    seq         bigint not null primary key check (seq >= 1),
    at          bigint not null,
    -- Empty where it is about no broadcast.
    broadcast   text   not null,
    -- The open_id of whoever did it; empty for the bot itself.
    actor       text   not null,
    deed        text   not null,
    -- The version of the broadcast after the deed; 0 where there is none.
    version     bigint not null,
    -- The fingerprint over all request bodies, what approvers approve; empty before the targets are settled.
    fingerprint text   not null,
    -- What else is known, as a JSON object.
    detail      text   not null,
    -- Which key the MAC was made with: a short name of it, which tells nothing about it.
    key_id      text   not null,
    mac         text   not null
);
create index audit_of on audit (broadcast, seq);

-- One row: where the chain ends, under a seal of its own, so that rows removed at the end are missed. Whoever appends
-- holds it to the end of their transaction. An empty seal: the chain has not begun.
create table audit_head (
    id     bigint not null primary key check (id = 1),
    seq    bigint not null,
    mac    text   not null,
    key_id text   not null,
    seal   text   not null
);
insert into audit_head (id, seq, mac, key_id, seal) values (1, 0, '', '', '');
