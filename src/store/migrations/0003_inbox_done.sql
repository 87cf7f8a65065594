-- Only what is done is ever forgotten by its age, and what has just arrived is not done: an event that waits for its
-- 200 need not be put into this order yet.
create index inbox_done on inbox (received_at) where state in ('done', 'given-up');
drop index inbox_age;
