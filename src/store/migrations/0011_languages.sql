-- The language that a person wrote in last: what the bot says to them of its own accord, and answers to words that tell
-- no language.
create table languages (
    person   text not null primary key,
    language text not null check (language in ('zh', 'en'))
);
