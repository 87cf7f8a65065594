-- Found at once after a long silence, however many broadcasts there were before: whatever could still be sent.
create index broadcasts_unsent on broadcasts (created_at)
    where state in ('needs-choice', 'pending', 'approved', 'scheduled', 'sending', 'in-doubt');
