-- Found at once after a long silence, however many broadcasts there were before: whatever could still be sent.
create index broadcasts_unsent on broadcasts (created_at)
    where state in ('needs-choice', 'pending', 'approved', 'scheduled', 'sending', 'in-doubt');

-- Since when working on an event has failed: how often it is tried again, and for how long, goes by this. Tries that ended
-- in no way at all, because the program did, are counted beside it.
alter table inbox add column failing_since bigint;
