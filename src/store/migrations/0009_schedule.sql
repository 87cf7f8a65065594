-- Broadcasts that wait for a time: when it is to be looked at next, by its countdown or because its time has come.
alter table broadcasts add column wake_at bigint;
create index broadcasts_wake on broadcasts (wake_at) where wake_at is not null;

-- What lists show, newest first.
create index broadcasts_waiting on broadcasts (created_at) where state in ('needs-choice', 'pending');
create index broadcasts_scheduled on broadcasts (created_at) where state = 'scheduled';
create index broadcasts_of_author on broadcasts (author, created_at);
