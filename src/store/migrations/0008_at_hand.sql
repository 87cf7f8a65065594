-- Commands that are taken back, deadlines that are near, and what people have received lately.

-- Which broadcast came of which command, so that whoever recalls the command stops what is still pending. Those that
-- could still be stopped when this was written are found by the message that stands in their document; a broadcast to
-- repaired ids names the same message, and came of a press.
create table commands (
    message_id text not null primary key,
    broadcast  text not null
);
insert into commands (message_id, broadcast)
    select substr(i.key, 3), min(b.id) from inbox i
    join broadcasts b on b.doc like '%"message_id":"' || substr(i.key, 3) || '"%'
    where substr(i.key, 1, 2) = 'm:' and b.doc not like '%"repairs":"%'
      and b.state in ('needs-choice', 'pending', 'approved', 'scheduled', 'sending', 'in-doubt')
    group by i.key;

-- When those who have not decided are reminded; null once they were. An hour before the deadline, or a quarter of the
-- time there is where that is less.
alter table broadcasts add column remind_at bigint;
update broadcasts
    set remind_at = expires_at - case when (expires_at - created_at) / 4 < 3600000
                                      then (expires_at - created_at) / 4 else 3600000 end
    where state = 'pending';
create index broadcasts_remind on broadcasts (remind_at) where state = 'pending' and remind_at is not null;

-- When Feishu took a batch: what its people have received in the last days is counted from the ledger itself.
alter table batches add column accepted_at bigint;
create index batches_accepted on batches (accepted_at) where accepted_at is not null;
