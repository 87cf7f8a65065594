-- The memory of the bot. One set of statements for SQLite and PostgreSQL: text, bigint and plain SQL only.
--
-- Moments are milliseconds since 1970-01-01 UTC. Documents are JSON in text columns; what is searched or compared has
-- a column of its own beside the document.
--
-- Work is claimed the same way everywhere: a row may be taken once `not_before` has passed. Taking it moves
-- `not_before` to the end of the lease and raises `fence`; whoever comes back with an older fence writes nothing.

-- Everything Feishu pushed and we answered with 200. The key is the memory against repeats: `m:` + message_id for
-- messages, whose event_id may change between pushes, `e:` + event_id for all else, `o:` + nonce for a used login link.
create table inbox (
    key         text   not null primary key,
    kind        text   not null check (kind in ('message', 'revocation', 'press', 'login')),
    -- The person it came from: one person's events are worked on one after the other.
    person      text   not null,
    -- The decrypted event; emptied when the work is done, since only the key has to be remembered.
    body        text   not null,
    state       text   not null check (state in ('new', 'taken', 'parked', 'done', 'given-up')),
    attempts    bigint not null default 0 check (attempts >= 0),
    not_before  bigint not null,
    fence       bigint not null default 0,
    -- Set while a command waits for its author's authorization: how long it waits.
    parked_until bigint,
    received_at bigint not null
);
-- A claim walks it from person to person, and finds the oldest event of each.
create index inbox_open on inbox (person, not_before, received_at) where state in ('new', 'taken', 'parked');
create index inbox_busy on inbox (person) where state = 'taken';
create index inbox_parked on inbox (person) where state = 'parked';
create index inbox_age on inbox (received_at);

-- Broadcasts; `doc` is the whole value, the columns are what the store itself needs to see.
create table broadcasts (
    id          text   not null primary key,
    author      text   not null,
    state       text   not null check (state in (
        'needs-choice', 'pending', 'approved', 'scheduled', 'sending', 'sent', 'partly-sent', 'failed', 'in-doubt',
        'rejected', 'cancelled', 'expired', 'recalled')),
    -- The compare-and-swap: a writer names the revision it read.
    revision    bigint not null check (revision >= 1),
    created_at  bigint not null,
    expires_at  bigint not null,
    doc         text   not null
);
create index broadcasts_recent on broadcasts (created_at);
create index broadcasts_active on broadcasts (created_at) where state in ('approved', 'sending');
create index broadcasts_undecided on broadcasts (expires_at) where state in ('needs-choice', 'pending');

-- The ledger: one row a call of batch_send, written before anyone is asked to approve.
create table batches (
    broadcast    text   not null references broadcasts (id),
    seq          bigint not null check (seq >= 1),
    state        text   not null check (state in (
        'planned', 'sending', 'accepted', 'refused', 'in-doubt', 'taken-as-sent', 'cancelled')),
    targets      text   not null,
    -- How many ids the targets hold, so that sums need not read them.
    ids          bigint not null check (ids >= 1),
    -- SHA-256 of the request body; all of them together make the fingerprint that was approved.
    digest       text   not null,
    attempts     bigint not null default 0,
    not_before   bigint not null,
    fence        bigint not null default 0,
    outcome      text   not null,
    progress     text,
    -- When delivery is asked for next; null when nothing more is expected.
    next_poll_at bigint,
    polls        bigint not null default 0,
    polls_same   bigint not null default 0,
    primary key (broadcast, seq)
);
create index batches_planned on batches (broadcast, seq) where state = 'planned';
create index batches_sending on batches (not_before) where state = 'sending';
create index batches_doubt on batches (broadcast) where state = 'in-doubt';
create index batches_poll on batches (next_poll_at) where next_poll_at is not null;

-- Copies of a broadcast's card, one for each person who has one. A copy is owed an update while it shows less than
-- what is wanted.
create table cards (
    broadcast  text   not null references broadcasts (id),
    person     text   not null,
    role       text   not null check (role in ('author', 'approver')),
    -- Null until the card has been sent.
    message_id text,
    shown      bigint not null default 0,
    wanted     bigint not null,
    -- Raised when a card has to be sent afresh, so that the new one has a new uuid.
    generation bigint not null default 0,
    -- The card as it was first sent, until it is known to have arrived: a repeat under its uuid is the same message.
    draft      text,
    not_before bigint not null,
    attempts   bigint not null default 0,
    fence      bigint not null default 0,
    -- Feishu's code for refusing the card as it was: since then it carries neither mentions nor the content.
    refused    bigint,
    state      text   not null check (state in ('live', 'given-up')),
    primary key (broadcast, person)
);
create index cards_owed on cards (not_before) where shown < wanted and state = 'live';

-- Answers we owe somebody. They leave in order for each receiver, each under a uuid of its own, so that Feishu swallows
-- a repeat within the hour.
create table letters (
    uuid          text   not null primary key check (length(uuid) <= 50),
    receiver_kind text   not null check (receiver_kind in ('chat_id', 'open_id')),
    receiver      text   not null,
    -- The message this answers, if it is an answer.
    reply_to      text,
    msg_type      text   not null,
    content       text   not null,
    state         text   not null check (state in ('new', 'sent', 'given-up')),
    -- The letter's place in its receiver's queue: later than every letter before it, by the pause that Feishu wants
    -- between two messages to one receiver.
    due_at        bigint not null,
    attempts      bigint not null default 0,
    not_before    bigint not null,
    fence         bigint not null default 0,
    created_at    bigint not null
);
create index letters_open on letters (not_before, due_at) where state = 'new';
create index letters_queue on letters (receiver, due_at);
create index letters_waiting on letters (receiver, due_at) where state = 'new';
create index letters_age on letters (created_at);

-- Authorizations of admins for department search, sealed under the secret key.
create table authorizations (
    open_id       text   not null primary key,
    sealed        text   not null,
    scope         text   not null,
    access_until  bigint not null,
    refresh_until bigint,
    granted_at    bigint not null,
    -- One refresh at a time, across processes.
    lease_until   bigint not null default 0,
    fence         bigint not null default 0
);

-- When the last calls were made, in rings of as many as the platform counts in a minute: one ring for batch_send, one
-- for messages and cards. One row counts a ring's calls, and is what the replicas queue at.
create table pace_count (
    ring  text   not null primary key check (ring in ('batches', 'talk')),
    calls bigint not null
);
insert into pace_count (ring, calls) values ('batches', 0), ('talk', 0);
create table pace (
    ring    text   not null,
    slot    bigint not null,
    call    bigint not null,
    made_at bigint not null,
    primary key (ring, slot)
);
