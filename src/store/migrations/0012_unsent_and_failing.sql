-- Found at once after a long silence, however many broadcasts there were before: whatever could still be sent.
create index broadcasts_unsent on broadcasts (created_at)
    where state in ('needs-choice', 'pending', 'approved', 'scheduled', 'sending', 'in-doubt');

-- Since when working on an event has failed, and how often: for how long it is tried again goes by these. Tries that ended in
-- no way at all, because the program did, are counted beside them.
alter table inbox add column failing_since bigint;
alter table inbox add column failed bigint not null default 0;
